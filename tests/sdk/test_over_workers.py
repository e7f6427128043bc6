"""What one provider records in several forked workers is read as one, also when workers have died."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

from otel_obs.cells import exponential
from otel_obs.cells.membership import Service
from otel_obs.cells.snapshot import Column
from otel_obs.cells.view import MergedView
from otel_obs.cells.worker import Worker
from otel_obs.sdk import Meter, MeterProvider, refresh
from otel_obs.sdk.refresh import Refresher
from tests.support.waiting import until


class Fleet:
    """A parent with a provider, and forked workers that run a function and wait to be killed."""

    def __init__(self, base: Path, **options: Any) -> None:
        service = Service([str(base)], f"{random.getrandbits(64):016x}")
        worker = Worker(service.open_store)
        self.provider = MeterProvider(worker=worker, shutdown_on_exit=False, **options)
        meter = self.provider.get_meter("fleet")
        assert isinstance(meter, Meter)
        self.meter = meter
        self._view = MergedView(worker, service.run_dir)
        self.workers: list[int] = []

    def fork(self, work: Callable[[], object]) -> int:
        """Start a worker, and wait until it has done its work."""
        ready, done = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                work()
                os.write(done, b"x")
                signal.pause()
            finally:
                os._exit(1)
        os.close(done)
        with open(ready, "rb") as pipe:
            assert pipe.read(1) == b"x", "a worker failed"
        self.workers.append(pid)
        return pid

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.workers.remove(pid)

    def column(self, name: str) -> Column:
        columns = {column.table.stream.name: column for column in self._view.snapshot().columns}
        return columns[name]

    def values(self, name: str) -> dict[tuple[Any, ...], Any]:
        """The merged values of a stream, by attributes."""
        columns = {column.table.stream.name: column for column in self._view.snapshot().columns}
        if name not in columns:
            return {}
        column = columns[name]
        return dict(zip(column.table.attributes, column.values, strict=True))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    made: list[Fleet] = []

    def make(**options: Any) -> Fleet:
        made.append(Fleet(tmp_path, **options))
        return made[-1]

    yield make
    for each in made:
        for pid in list(each.workers):
            each.kill(pid)


def test_sums_and_histograms_outlive_their_worker(fleet: Callable[..., Fleet]) -> None:
    service = fleet()
    counter = service.meter.create_counter("c")
    histogram = service.meter.create_histogram("h", explicit_bucket_boundaries_advisory=[1, 2])
    balance = service.meter.create_up_down_counter("u")

    def work() -> None:
        for amount in (0.5, 1.5, 2.5):
            counter.add(amount, {"k": "v"})
            histogram.record(amount)
        balance.add(3)

    work()
    first, second = service.fork(work), service.fork(work)
    expected = {(("k", "v"),): 13.5}
    assert service.values("c") == expected
    assert service.values("h") == {(): [3.0, 3.0, 3.0, 13.5]}
    assert service.values("u") == {(): 9.0}
    service.kill(first)
    service.kill(second)
    for _ in range(3):  # as dead workers, then folded, then from the retired store
        assert service.values("c") == expected
        assert service.values("h") == {(): [3.0, 3.0, 3.0, 13.5]}
        assert service.values("u") == {(): 3.0}


@pytest.mark.parametrize(
    ("rule", "set_by_workers", "merged"),
    [
        ("sum", [1, 2, 4], 7.0),
        ("max", [1, 4, 2], 4.0),
        ("min", [3, 1, 2], 1.0),
        ("mean", [1, 2, 6], 3.0),
        ("latest", [5, 9, 7], 7.0),
        ("worst:2,0,1", [1, 1, 1], 1.0),
        ("worst:2,0,1", [1, 0, 1], 0.0),
        ("worst:2,0,1", [1, 0, 2], 2.0),
    ],
)
def test_a_gauge_follows_its_rule(
    fleet: Callable[..., Fleet], rule: str, set_by_workers: list[float], merged: float
) -> None:
    service = fleet()
    gauge = service.meter.create_gauge("g", merge=rule)
    for value in set_by_workers:
        service.fork(lambda value=value: gauge.set(value))  # type: ignore[misc]
    assert service.values("g") == {(): merged}


def test_a_dead_workers_gauge_vanishes(fleet: Callable[..., Fleet]) -> None:
    service = fleet()
    gauge = service.meter.create_gauge("g", merge="max")
    service.fork(lambda: gauge.set(1))
    service.kill(service.fork(lambda: gauge.set(9)))
    assert service.values("g") == {(): 1.0}


def test_a_gauge_per_worker_has_the_worker_as_attribute(fleet: Callable[..., Fleet]) -> None:
    service = fleet()
    gauge = service.meter.create_gauge("g", merge="per_worker")
    first, second = service.fork(lambda: gauge.set(1)), service.fork(lambda: gauge.set(2))
    assert service.values("g") == {(("worker", str(first)),): 1.0, (("worker", str(second)),): 2.0}


def test_a_share_is_computed_from_the_merged_counters(fleet: Callable[..., Fleet]) -> None:
    service = fleet()
    hits, misses = service.meter.create_counter("hits"), service.meter.create_counter("misses")
    rate = service.meter.create_gauge("rate", merge="share:hits,misses")

    def work(amount: int) -> None:
        hits.add(amount)
        misses.add(1)
        rate.set(amount / (amount + 1))

    service.fork(lambda: work(1))
    service.kill(service.fork(lambda: work(7)))
    assert service.values("rate") == {(): 8 / 10}


def test_exponential_histograms_add_up_over_workers_of_different_scale(fleet: Callable[..., Fleet]) -> None:
    view = View(instrument_name="h", aggregation=ExponentialBucketHistogramAggregation(max_size=8))
    service = fleet(views=[view])
    histogram = service.meter.create_histogram("h")
    amounts = [[1.0, 1.1, 1.2], [0.001, 1000.0, 0.0], [3.0] * 5]

    def work(values: list[float]) -> None:
        for value in values:
            histogram.record(value)

    pids = [service.fork(lambda values=values: work(values)) for values in amounts]  # type: ignore[misc]
    every = [value for values in amounts for value in values]

    def check() -> None:
        value = service.values("h")[()]
        assert value.zero_count == every.count(0.0)
        assert value.sum == pytest.approx(sum(every))
        expected: dict[int, int] = {}
        for amount in filter(None, every):
            index = exponential.index_of(amount, value.scale)
            expected[index] = expected.get(index, 0) + 1
        found = {index: count for index, count in enumerate(value.positive, value.positive_offset) if count}
        assert found == expected
        assert len(value.positive) <= 8

    check()
    for pid in pids:
        service.kill(pid)
        check()
        check()


def test_the_latest_exemplar_of_each_bucket_is_read_by_every_worker(fleet: Callable[..., Fleet]) -> None:
    service = fleet()
    histogram = service.meter.create_histogram("h", explicit_bucket_boundaries_advisory=[1, 2])

    def work(trace_id: int, amounts: list[float]) -> None:
        span = trace.NonRecordingSpan(trace.SpanContext(trace_id, 0xB, False, trace.TraceFlags(1)))
        with trace.use_span(span):
            for amount in amounts:
                histogram.record(amount)

    first = service.fork(lambda: work(1, [0.5, 1.5]))
    service.fork(lambda: work(2, [1.25, 9.0]))

    def found() -> list[tuple[int, float, str]]:
        exemplars = service.column("h").exemplars[0]
        return [(each.bucket, each.value, each.trace_id) for each in exemplars]

    expected = [(0, 0.5, f"{1:032x}"), (1, 1.25, f"{2:032x}"), (2, 9.0, f"{2:032x}")]
    assert found() == expected
    service.kill(first)
    assert found() == expected
    assert found() == expected


def test_callbacks_of_every_worker_are_fresh_without_being_asked(fleet: Callable[..., Fleet]) -> None:
    service = fleet()
    Refresher(service.provider, period_s=0.1)
    own = {"value": 0}

    def callback(options: CallbackOptions) -> list[Observation]:
        own["value"] += 1
        return [Observation(os.getpid() if own["value"] else 0)]

    service.meter.create_observable_gauge("g", [callback], merge="max")
    counter = service.meter.create_counter("c")
    pids = [service.fork(lambda: counter.add(1)) for _ in range(2)]
    until(lambda: service.values("g") == {(): float(max(pids))}, "the workers' values")


def test_an_error_in_what_is_said_after_the_start_ends_no_callbacks(
    fleet: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "_MOMENT_S", 0.01)
    service = fleet()
    refresher = Refresher(service.provider, period_s=0.1)
    said: list[int] = []
    asked: list[int] = []

    def say() -> bool:
        said.append(len(asked))
        raise OSError("a log handler of the application")

    def callback(options: CallbackOptions) -> list[Observation]:
        asked.append(len(said))
        return [Observation(1)]

    refresher.after_start = say
    service.meter.create_observable_gauge("g", [callback])
    service.meter.create_counter("c").add(1)
    until(lambda: 1 in asked, "a callback after the error")
    refresher.stop()
    assert len(said) == 1


def test_a_forked_worker_starts_at_nothing(fleet: Callable[..., Fleet]) -> None:
    service = fleet()
    counter = service.meter.create_counter("c")
    bound = counter.bind({"k": "v"})
    counter.add(5)
    bound.add(5)

    def work() -> None:
        counter.add(1)
        bound.add(1)

    service.fork(work)
    assert service.values("c") == {(): 6.0, (("k", "v"),): 6.0}


def test_a_removed_series_starts_over(fleet: Callable[..., Fleet]) -> None:
    service = fleet()
    counter = service.meter.create_counter("c")
    bound = counter.bind({"k": "v"})
    bound.add(5)
    counter.remove({"k": "v"})
    assert service.values("c") == {}
    bound.add(1)
    counter.add(1, {"k": "v"})
    assert service.values("c") == {(("k", "v"),): 2.0}


def test_too_many_series_share_the_overflow_series(fleet: Callable[..., Fleet]) -> None:
    service = fleet(cardinality_limit=3)
    counter = service.meter.create_counter("c")
    for number in range(10):
        counter.add(1, {"n": number})
    overflow = (("otel.metric.overflow", True),)
    assert service.values("c") == {(("n", 0),): 1.0, (("n", 1),): 1.0, overflow: 8.0}


@settings(deadline=None, max_examples=300)
@given(st.lists(st.floats(-1e12, 1e12), max_size=40), st.integers(2, 20))
def test_an_exponential_histogram_holds_every_value_in_the_bucket_that_it_belongs_to(
    values: list[float], max_size: int
) -> None:
    cells = memoryview(bytearray(8 * exponential.cells_of(max_size))).cast("d")
    for position, cell in enumerate(exponential.initial_cells(max_size, 20)):
        cells[position] = cell
    for value in values:
        exponential.record(cells, 0, max_size, value)
    held = exponential.decode(cells.tolist(), max_size)
    for sign, offset, counts in (
        (1, held.positive_offset, held.positive),
        (-1, held.negative_offset, held.negative),
    ):
        expected: dict[int, int] = {}
        for value in values:
            if value * sign > 0:
                index = exponential.index_of(abs(value), held.scale)
                expected[index] = expected.get(index, 0) + 1
        assert {index: count for index, count in enumerate(counts, offset) if count} == expected
        assert len(counts) <= max_size
    assert held.zero_count == values.count(0.0)
    assert exponential.is_whole(cells.tolist(), max_size)
    assert exponential.decode(exponential.encode_cells(held, max_size), max_size) == held
