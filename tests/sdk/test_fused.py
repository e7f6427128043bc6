"""What is recorded together is what would be recorded one by one."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import context
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_obs.sdk import MeterProvider
from otel_obs.sdk.fused import beginning, end_of

BOUNDS = [0.1, 1.0, 10.0]
AMOUNTS = [0.0, 0.05, 0.1, 0.2, 1.0, 5.0, 10.0, 99.0]


class Work:
    """Three instruments of a provider of their own."""

    def __init__(self, bounds: list[float] | None = None) -> None:
        self._reader = InMemoryMetricReader()
        meter: Any = MeterProvider([self._reader], shutdown_on_exit=False).get_meter("m")
        bounds = BOUNDS if bounds is None else bounds
        self.active = meter.create_up_down_counter("active")
        self.count = meter.create_counter("count")
        self.duration = meter.create_histogram("duration", explicit_bucket_boundaries_advisory=bounds)
        self.records = (
            self.active.bind({"m": "x"}).add,
            self.count.bind({"m": "x"}).add,
            self.duration.bind({"m": "x"}).record,
        )

    def recorded(self) -> dict[str, Any]:
        data = self._reader.get_metrics_data()
        assert data is not None
        found = {}
        for metric in data.resource_metrics[0].scope_metrics[0].metrics:
            points: list[Any] = list(metric.data.data_points)
            (point,) = points
            value = getattr(point, "value", None)
            if value is None:
                value = point.count, point.sum, tuple(point.bucket_counts), point.min, point.max
            found[metric.name] = value
        return found


def one_by_one(work: Work) -> None:
    active, count, duration = work.records
    for amount in AMOUNTS:
        active(2.0)
        active(-1.0)
        count(1.0)
        duration(amount)


def together(work: Work) -> None:
    begin, end = beginning(work.records[0]), end_of(*work.records)
    for amount in AMOUNTS:
        begin(2.0)
        end(amount)


@pytest.mark.parametrize("bounds", [BOUNDS, []])
def test_it_is_the_same(bounds: list[float]) -> None:
    expected, work = Work(bounds), Work(bounds)
    one_by_one(expected)
    together(work)
    assert work.recorded() == expected.recorded()


def test_it_is_the_same_within_a_context() -> None:
    expected, work = Work(), Work()
    token = context.attach(context.set_value("key", "value"))
    try:
        one_by_one(expected)
        together(work)
    finally:
        context.detach(token)
    assert work.recorded() == expected.recorded()


def test_a_removed_series_begins_again() -> None:
    work = Work()
    end = end_of(*work.records)
    end(0.5)
    work.count.remove({"m": "x"})
    end(0.5)
    assert work.recorded()["count"] == 1
    assert work.recorded()["active"] == -2


def test_other_functions_are_called_one_by_one() -> None:
    called: list[tuple[str, float]] = []

    def note(name: str) -> Any:
        return lambda amount: called.append((name, amount))

    beginning(note("active"))(1.0)
    end_of(note("active"), note("count"), note("duration"))(0.5)
    assert called == [("active", 1.0), ("active", -1.0), ("count", 1.0), ("duration", 0.5)]
