"""Which measurements of a busy worker become exemplars, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics.view import View

from otel_obs.cells.snapshot import Exemplar
from otel_obs.cells.view import MergedView
from otel_obs.sdk import MeterProvider, exemplars
from otel_obs.sdk.exemplars import ReplacementPace

Provide = Callable[..., MeterProvider]


class Clock:
    """A clock that is set by hand."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(exemplars, "monotonic", clock)
    return clock


@pytest.fixture
def provide() -> Iterator[Provide]:
    made: list[MeterProvider] = []

    def make(views: tuple[View, ...] = ()) -> MeterProvider:
        made.append(MeterProvider(shutdown_on_exit=False, views=views))
        return made[-1]

    yield make
    for provider in made:
        provider.shutdown()


def span(trace_id: int, is_sampled: bool = True) -> trace.Span:
    context = trace.SpanContext(trace_id, 0xB, False, trace.TraceFlags(int(is_sampled)))
    return trace.NonRecordingSpan(context)


def found(provider: MeterProvider, name: str) -> list[Exemplar]:
    """The exemplars of the only series of a stream."""
    snapshot = MergedView(provider.worker, lambda: None).snapshot()
    (column,) = [column for column in snapshot.columns if column.table.stream.name == name]
    return column.exemplars.get(0, [])


def trace_ids(provider: MeterProvider, name: str) -> list[int]:
    return [int(exemplar.trace_id, 16) for exemplar in found(provider, name)]


def test_the_latest_of_some_is_kept_and_of_many_the_fiftieth_of_a_second(
    provide: Provide, clock: Clock
) -> None:
    provider = provide()
    counter = provider.get_meter("m").create_counter("c")
    for number in range(1, 61):
        with trace.use_span(span(number)):
            counter.add(1)
        assert trace_ids(provider, "c") == [min(number, 50)]

    clock.now_s += 1.0
    with trace.use_span(span(61)):
        counter.add(1)
    assert trace_ids(provider, "c") == [61]


def test_a_busy_bucket_hides_no_other_bucket_and_no_other_series(provide: Provide, clock: Clock) -> None:
    provider = provide()
    histogram = provider.get_meter("m").create_histogram("h", explicit_bucket_boundaries_advisory=[1, 2])
    other = provider.get_meter("m").create_counter("other")
    for number in range(1, 61):
        with trace.use_span(span(number)):
            histogram.record(0.5)
    with trace.use_span(span(61)):
        histogram.record(5)
        other.add(1)
    assert trace_ids(provider, "h") == [50, 61]
    assert trace_ids(provider, "other") == [61]


def test_spans_that_are_not_sampled_take_nobodys_place(provide: Provide, clock: Clock) -> None:
    provider = provide()
    counter = provider.get_meter("m").create_counter("c")
    for number in range(1, 61):
        with trace.use_span(span(number, is_sampled=False)):
            counter.add(1)
    assert trace_ids(provider, "c") == []
    with trace.use_span(span(61)):
        counter.add(1)
    assert trace_ids(provider, "c") == [61]


def test_an_exemplar_has_what_a_view_has_dropped_and_nothing_else(provide: Provide) -> None:
    provider = provide((View(instrument_name="c", attribute_keys={"kept"}),))
    counter = provider.get_meter("m").create_counter("c")
    with trace.use_span(span(0xA)):
        counter.add(3, {"kept": "k", "dropped": 7})
    (exemplar,) = found(provider, "c")
    assert exemplar._replace(unix_s=0.0) == Exemplar(
        0, 3.0, 0.0, f"{0xA:032x}", f"{0xB:016x}", (("dropped", "7"),)
    )


def test_an_attribute_that_was_renamed_is_not_one_that_was_dropped(provide: Provide) -> None:
    provider = provide()
    meter: Any = provider.get_meter("m")  # its parameters are more than the API's
    counter = meter.create_counter("c", translate=lambda given: {"status": given["code"]})
    with trace.use_span(span(0xA)):
        counter.add(1, {"code": "200"})
    (exemplar,) = found(provider, "c")
    assert exemplar.attributes == ()


def test_the_pace_of_exemplars_remembers_a_bounded_number_of_buckets() -> None:
    pace = ReplacementPace()
    for bucket in range(20_000):
        pace.spend(bucket)
    assert len(pace._spent) <= 4096
    for _ in range(50):
        assert not pace.is_spent(1)
        pace.spend(1)
    assert pace.is_spent(1)
