"""Without the GIL, threads add at once; nothing is lost, whatever happens to cells, handles and processes."""

from __future__ import annotations

import gc
import os
import random
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from otel_obs import compiled, prometheus
from otel_obs.cells.membership import Service
from otel_obs.cells.view import MergedView
from otel_obs.cells.worker import Worker
from otel_obs.host import gil
from otel_obs.sdk import MeterProvider
from otel_obs.sdk.fused import beginning, end_of
from tests.support.programs import run

pytestmark = pytest.mark.skipif(gil.IS_ON, reason="this Python has a GIL")

THREADS, CALLS = 8, 20_000
BOUNDS = (1.0, 2.0, 5.0)


def in_threads(work: Callable[[], None], count: int = THREADS) -> None:
    errors: list[BaseException] = []

    def caught() -> None:
        try:
            start.wait()
            work()
        except BaseException as error:
            errors.append(error)

    start = threading.Barrier(count)
    threads = [threading.Thread(target=caught) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def total(provider: MeterProvider, name: str) -> Any:
    """The only row of a stream: a number, or the cells of a histogram."""
    columns = MergedView(provider.worker).snapshot().columns
    (row,) = next(list(column.values) for column in columns if column.table.stream.name == name)
    return row if isinstance(row, float) else list(row)


class Disturbance:
    """Does something to the worker, again and again, while others record."""

    def __init__(self, *works: Callable[[], object]) -> None:
        self._works = works
        self._is_ended = False
        self._thread = threading.Thread(target=self._go_on)
        self.rounds = 0
        self._errors: list[BaseException] = []

    def _go_on(self) -> None:
        try:
            while not self._is_ended or not self.rounds:
                for work in self._works:
                    work()
                self.rounds += 1
        except BaseException as error:
            self._errors.append(error)

    def __enter__(self) -> Disturbance:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_ended = True
        self._thread.join()
        assert self._errors == []


def record_all(provider: MeterProvider) -> Callable[[], None]:
    """Record through every road, each `CALLS` times in each thread."""
    meter: Any = provider.get_meter("m")
    bounds: dict[str, Any] = {"explicit_bucket_boundaries_advisory": BOUNDS}
    counter, updown = meter.create_counter("c"), meter.create_up_down_counter("u")
    gauge, histogram = meter.create_gauge("g"), meter.create_histogram("h", **bounds)
    handles = (
        counter.bind({"k": "v"}),
        updown.bind({"k": "v"}),
        histogram.bind({"k": "v"}),
        gauge.bind({"k": "v"}),
    )
    begin, end = beginning(handles[1].add), end_of(handles[1].add, handles[0].add, handles[2].record)

    def record() -> None:
        shared = {"k": "v"}
        for _ in range(CALLS):
            handles[0].add(1)
            counter.add(2, {"k": "v"})
            counter.add(1, shared)
            counter.labels(k="v").inc()
            updown.add(3, {"k": "v"})
            handles[1].add(-2)
            histogram.record(1.5, {"k": "v"})
            handles[2].record(7)
            gauge.set(4, {"k": "v"})
            handles[3].set(4)
            begin(1.0)
            end(0.5)

    return record


def check_all(provider: MeterProvider) -> None:
    calls = THREADS * CALLS
    assert total(provider, "c") == 6 * calls
    assert total(provider, "u") == calls
    assert total(provider, "h") == [calls, calls, 0, calls, 9.0 * calls]
    assert total(provider, "g") == 4.0


def test_threads_that_record_through_every_road_lose_nothing() -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    in_threads(record_all(provider))
    check_all(provider)


def test_nothing_is_lost_while_the_store_moves_series_come_and_go_and_processes_fork(tmp_path: Any) -> None:
    service = Service([str(tmp_path)], "0" * 16)
    provider = MeterProvider(worker=Worker(service.open_store, service), shutdown_on_exit=False)
    record = record_all(provider)
    worker = provider.worker
    others: Any = provider.get_meter("m").create_counter("others")
    mine: Any = provider.get_meter("m").create_counter("mine")
    bound = mine.bind({"k": "v"})
    bound.add(1)

    def move() -> None:
        store = worker.store()
        worker.exclusively(lambda: worker._move(store))

    def come_and_go() -> None:
        for number in range(50):
            others.add(1, {"n": str(number)})
            others.bind({"n": str(number)}).add(1)
            others.remove({"n": str(number)})

    def fork() -> None:
        if (child := os.fork()) == 0:
            bound.add(10)
            mine.add(10, {"k": "v"})
            series = next(iter(mine.aggregators()[0].series.values()))
            os._exit(0 if series.cells[series.offset] == 20 else 1)
        assert os.waitpid(child, 0)[1] == 0

    with Disturbance(move, come_and_go, others.recompile, gc.collect), Disturbance(fork):
        in_threads(record)
    check_all(provider)
    assert total(provider, "mine") == 1


def test_shutdown_and_removal_while_threads_record_leave_memory_alone() -> None:
    """What is counted meanwhile is no matter; a sanitizer, or the kernel, would end the process."""
    for _ in range(4):
        provider = MeterProvider(shutdown_on_exit=False)
        meter: Any = provider.get_meter("m")
        counter, histogram = meter.create_counter("c"), meter.create_histogram("h")
        handles = [counter.bind({"n": str(number)}) for number in range(4)]

        def record(counter: Any = counter, histogram: Any = histogram, handles: Any = handles) -> None:
            for number in range(500):
                handles[number % 4].add(1)
                counter.add(1, {"n": str(number % 4)})
                histogram.record(1)

        def remove(counter: Any = counter, histogram: Any = histogram) -> None:
            counter.remove({"n": "1"})
            histogram.remove()

        def collect() -> None:
            if random.random() < 0.02:  # more often, Python does nothing else
                gc.collect()

        with Disturbance(remove, provider.worker.close, collect):
            in_threads(record)


def test_the_series_of_the_client_lose_nothing() -> None:
    registry: Any = prometheus.CollectorRegistry()
    prometheus.share(registry)
    counter = prometheus.Counter("c", "C.", ["k"], registry=registry)
    gauge = prometheus.Gauge("g", "G.", registry=registry)
    level = prometheus.Gauge("l", "L.", multiprocess_mode="mostrecent", registry=registry)
    summary = prometheus.Summary("s", "S.", registry=registry)
    histogram = prometheus.Histogram("h", "H.", buckets=BOUNDS, registry=registry)
    stay: Any = counter.labels("stays")

    def record() -> None:
        for _ in range(CALLS):
            counter.labels("stays").inc()
            stay.inc(2)
            gauge.inc(3)
            gauge.dec()
            level.set(7)
            summary.observe(2)
            histogram.observe(1.5)

    def come_and_go() -> None:
        for number in range(50):
            counter.labels(str(number)).inc()
            counter.remove(str(number))

    with Disturbance(come_and_go):
        in_threads(record)
    calls = THREADS * CALLS
    samples = {
        (each.name, *each.labels.values()): each.value
        for family in registry.collect()
        for each in family.samples
    }
    assert samples["c_total", "stays"] == 3 * calls
    assert samples["g",] == 2 * calls
    assert samples["l",] == 7
    assert (samples["s_count",], samples["s_sum",]) == (calls, 2 * calls)
    assert (samples["h_count",], samples["h_sum",], samples["h_bucket", "2.0"]) == (calls, 1.5 * calls, calls)


def test_the_lock_is_one_and_belongs_to_its_thread() -> None:
    lock = gil.lock
    assert type(lock) is compiled.recording.RecordingLock
    provider = MeterProvider(shutdown_on_exit=False)
    bound: Any = provider.get_meter("m").create_counter("c").bind({})  # type: ignore[attr-defined]
    bound.add(1)
    with lock, compiled.recording.RecordingLock():
        assert lock._recursion_count() == 2
        bound.add(1)  # as a signal handler does in the middle of a change
    assert lock._recursion_count() == 0
    with pytest.raises(RuntimeError, match="does not hold the lock"):
        lock.release()
    with ExitStack() as stack:
        stack.enter_context(lock)
        thread = threading.Thread(target=bound.add, args=(1,))
        thread.start()
        assert total(provider, "c") == 2  # it waits
    thread.join()
    assert total(provider, "c") == 3


def test_a_child_of_a_process_whose_lock_is_held_records() -> None:
    code = """
        import os, threading
        from otel_obs.host import gil
        from otel_obs.sdk import MeterProvider
        bound = MeterProvider(shutdown_on_exit=False).get_meter("m").create_counter("c").bind({})
        bound.add(1)
        is_held, may_end = threading.Event(), threading.Event()

        def hold():
            with gil.lock:
                is_held.set()
                may_end.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        is_held.wait()
        statuses = []

        def fork():
            if (child := os.fork()) == 0:
                assert gil.lock._recursion_count() == 0
                bound.add(1)
                with gil.lock:
                    bound.add(1)
                os._exit(7)
            statuses.append(os.waitpid(child, 0)[1])

        fork()
        may_end.set()
        thread.join()
        with gil.lock:
            if (child := os.fork()) == 0:
                assert gil.lock._recursion_count() == 1
            else:
                statuses.append(os.waitpid(child, 0)[1])
        if not child:
            bound.add(1)
            os._exit(7)
        print([os.waitstatus_to_exitcode(each) for each in statuses])
    """
    assert run(code, timeout_s=100).lines == ["[7, 7]"]
