"""The `.labels(…).inc()` manner of the SDK's instruments."""

from __future__ import annotations

import asyncio
import gc
import itertools
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_obs.cells.view import MergedView
from otel_obs.errors import DeclarationError
from otel_obs.sdk import MeterProvider
from tests.support.calls import python_calls


def meter_of(provider: MeterProvider) -> Any:
    """A meter, whose instruments have more than those of the API."""
    return provider.get_meter("test")


def values(provider: MeterProvider) -> dict[str, dict[tuple[str, ...], Any]]:
    """What the provider's process holds, by instrument and values of attributes."""
    return {
        column.table.stream.name: {
            tuple(str(value) for _, value in attributes): value
            for attributes, value in zip(column.table.attributes, column.values, strict=True)
        }
        for column in MergedView(provider.worker).snapshot().columns
    }


def test_what_a_signal_handler_raises_is_not_swallowed_where_a_handle_dies() -> None:
    counter = meter_of(MeterProvider()).create_counter("c")
    handle = counter.bind({"user": "a"})
    handle.add(1)
    with python_calls() as called:
        del handle
    assert called == []
    assert counter._bounds_held() == []
    assert counter.bind({"user": "a"}) is counter.bind({"user": "a"})


def test_a_series_is_there_at_0_as_soon_as_it_is_named_and_a_bound_one_is_not() -> None:
    provider = MeterProvider()
    counter = meter_of(provider).create_counter("c", label_names=["method", "code"])
    counter.labels("GET", "200")
    assert provider.worker.opened is None
    counter.labels("POST", "200").inc(2)
    counter.labels("PUT", "200")
    counter.bind({"method": "PATCH", "code": "200"})
    # Attributes are sorted by their names.
    assert values(provider) == {"c": {("200", "GET"): 0.0, ("200", "POST"): 2.0, ("200", "PUT"): 0.0}}


def test_a_series_is_one_however_it_is_named() -> None:
    counter = meter_of(MeterProvider()).create_counter("c", label_names=["method", "code"])
    series = counter.labels("GET", "200")
    assert counter.labels("GET", 200) is series
    assert counter.labels(code=200, method="GET") is series
    assert counter.labels(code="200", method="GET") is series


@pytest.mark.parametrize(
    ("values", "named", "message"),
    [
        (("GET",), {}, "'c' got 1 label values; it declares ['method', 'code']"),
        (
            ("GET",),
            {"code": "200"},
            "'c' got labels both by position and by name; give one or the other",
        ),
        ((), {"path": "/"}, "'c' got attributes ['path']; it declares ['method', 'code']"),
    ],
)
def test_other_labels_than_those_declared_are_refused(
    values: tuple[str, ...], named: dict[str, str], message: str
) -> None:
    counter = meter_of(MeterProvider()).create_counter("c", label_names=["method", "code"])
    with pytest.raises(DeclarationError) as raised:
        counter.labels(*values, **named)
    assert str(raised.value) == message


def test_each_kind_has_the_verbs_of_prometheus() -> None:
    provider = MeterProvider()
    meter = meter_of(provider)
    counter = meter.create_counter("counter").bind()
    level = meter.create_up_down_counter("level").bind()
    gauge = meter.create_gauge("gauge").bind()
    histogram = meter.create_histogram("histogram", explicit_bucket_boundaries_advisory=[1, 2]).bind()
    counter.inc()
    counter.inc(2)
    level.inc(3)
    level.dec()
    gauge.inc(5)
    gauge.dec(2)
    histogram.observe(1.5)
    assert values(provider) == {
        "counter": {(): 3.0},
        "level": {(): 2.0},
        "gauge": {(): 3.0},
        "histogram": {(): [0.0, 1.0, 0.0, 1.5]},
    }
    gauge.set_to_current_time()
    assert values(provider)["gauge"][()] > 1.7e9


def test_blocks_and_calls_are_measured() -> None:
    provider = MeterProvider()
    meter = meter_of(provider)
    failures = meter.create_counter("failures").bind()
    level = meter.create_up_down_counter("level").bind()
    seconds = meter.create_histogram("seconds", explicit_bucket_boundaries_advisory=[0.001]).bind()

    @seconds.time()  # type: ignore[untyped-decorator]
    @level.track_inprogress()  # type: ignore[untyped-decorator]
    @failures.count_exceptions(ValueError)  # type: ignore[untyped-decorator]
    async def work(fails: bool) -> None:
        await asyncio.sleep(0.002)
        assert values(provider)["level"] == {(): 1.0}
        if fails:
            raise ValueError

    asyncio.run(work(False))
    with pytest.raises(ValueError, match="^$"):
        asyncio.run(work(True))
    with pytest.raises(LookupError), failures.count_exceptions(ValueError):
        raise LookupError
    with seconds.time() as timing:
        pass
    held = values(provider)
    assert held["failures"] == {(): 1.0}
    assert held["level"] == {(): 0.0}
    assert held["seconds"][()][:2] == [1.0, 2.0]
    assert 0 < timing.elapsed_s < 0.001


def test_a_reader_that_comes_late_sees_the_totals_of_all_handles() -> None:
    provider = MeterProvider()
    counter = meter_of(provider).create_counter("c")
    bound = counter.bind({"a": "1"})
    bound.add(5)
    counter.add(2, {"a": "2"})
    reader = InMemoryMetricReader()
    provider.add_metric_reader(reader)
    bound.add(1)
    counter.add(1, {"a": "2"})
    data = reader.get_metrics_data()
    assert data is not None
    points = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert {str(dict(point.attributes or {})): point.value for point in points} == {  # type: ignore[union-attr]
        "{'a': '1'}": 6.0,
        "{'a': '2'}": 3.0,
    }


def test_the_orders_of_one_series_attributes_are_remembered_up_to_a_bound() -> None:
    provider: Any = MeterProvider(shutdown_on_exit=False, cardinality_limit=5)
    counter = provider.get_meter("m").create_counter("jobs")
    for order in itertools.permutations("abcde"):
        for _ in range(2):
            counter.add(1, dict.fromkeys(order, "x"))
    assert 5 <= len(counter._offsets) <= 20
    assert values(provider)["jobs"] == {("x",) * 5: 240.0}


@pytest.mark.parametrize("manner", ["labels", "bind"])
def test_handles_go_with_their_series_and_those_beyond_the_limit_with_their_users(manner: str) -> None:
    provider: Any = MeterProvider(shutdown_on_exit=False, cardinality_limit=50)
    gauge = provider.get_meter("m").create_gauge("level")

    def handle(value: int) -> Any:
        if manner == "labels":
            return gauge.labels(session=str(value))
        return gauge.bind({"session": str(value)})

    kept = handle(0)
    kept.set(1)
    for value in range(1, 500):  # sessions that come and go
        handle(value).set(value)
        gauge.remove({"session": str(value)})
    for value in range(500, 1000):  # and too many at once
        handle(value).set(value)
    gc.collect()

    assert len(gauge._bound) <= 50
    assert len(gauge._children) <= 50
    assert len(gauge._by_name) <= 50
    assert len(provider.worker.on_open) <= 1
    assert handle(0) is kept


def test_a_handle_that_is_held_records_on_after_its_series_was_removed() -> None:
    provider: Any = MeterProvider(shutdown_on_exit=False)
    counter = provider.get_meter("m").create_counter("jobs")
    held = counter.labels(queue="a")
    held.inc(2)
    counter.remove({"queue": "a"})

    held.inc(3)
    counter.labels(queue="a").inc(4)

    (aggregator,) = counter.aggregators()
    assert [series.cells[series.offset] for series in aggregator.series.values()] == [7.0]


EQUAL = [
    (0.0, -0.0),
    ((1, 2), (1.0, 2), (True, 2)),
    (Decimal("1"), Decimal("1.0")),
    (1, 1.0, True, "1"),
    (None, "None"),
]


@pytest.mark.parametrize("values", EQUAL, ids=str)
def test_values_that_are_equal_and_written_otherwise_are_series_of_their_own(values: Any) -> None:
    provider: Any = MeterProvider(shutdown_on_exit=False)
    counter = provider.get_meter("m").create_counter("jobs")
    for _ in range(3):
        for value in values:
            counter.add(1, {"key": value})

    (aggregator,) = counter.aggregators()
    counts = [series.cells[series.offset] for series in aggregator.series.values()]
    assert counts == [3.0] * len(values)


def test_keys_that_are_equal_and_written_otherwise_are_labels_of_their_own() -> None:
    provider: Any = MeterProvider(shutdown_on_exit=False)
    counter = provider.get_meter("m").create_counter("jobs")
    for _ in range(3):
        for key in (1, True, "1"):
            counter.add(1, {key: "a"})

    (aggregator,) = counter.aggregators()
    assert [series.cells[series.offset] for series in aggregator.series.values()] == [6.0, 3.0]
