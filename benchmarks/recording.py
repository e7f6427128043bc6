"""What one measurement costs, beside `prometheus_client` and the OpenTelemetry SDK."""

from __future__ import annotations

import gc
import tempfile
import threading
import timeit
import tracemalloc
from collections.abc import Callable
from typing import Any

import prometheus_client
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_obs.cells.membership import Service
from otel_obs.cells.worker import Worker
from otel_obs.sdk import MeterProvider

Result = tuple[str, float, float]

THREE = {"method": "GET", "endpoint": "/items/{id}", "status_code": "200"}
TWO = {"method": "GET", "endpoint": "/items/{id}"}
BOUNDS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0)
CALLS = 50_000
ROUNDS = 9


def run() -> list[Result]:
    """Measure; each row is what, the ratio of ours to theirs, and the goal."""
    return [*compare_calls(), *compare_series(), compare_memory(), compare_threads()]


def medians(calls: dict[str, Callable[[], object]], number: int = CALLS) -> dict[str, float]:
    """Seconds of each call: the median over rounds in which all of them take turns."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            taken[name].append(timeit.timeit(call, number=number) / number)
    return {name: sorted(times)[ROUNDS // 2] for name, times in taken.items()}


def compare_calls() -> list[Result]:
    """One call on one series."""
    with tempfile.TemporaryDirectory(dir=_memory_backed()) as base:
        shared: Any = MeterProvider(worker=Worker(Service([base], "0" * 16).open_store)).get_meter("bench")
        heap = MeterProvider().get_meter("bench")
        sdk = SdkMeterProvider([InMemoryMetricReader()]).get_meter("bench")
        registry = prometheus_client.CollectorRegistry()
        their_counter = prometheus_client.Counter("c", "c", list(THREE), registry=registry)
        their_histogram = prometheus_client.Histogram("h", "h", list(TWO), buckets=BOUNDS, registry=registry)
        their_bound = their_counter.labels(*THREE.values())
        counter, on_heap = shared.create_counter("c"), heap.create_counter("c")
        bound = counter.bind(THREE)
        bounds: dict[str, Any] = {"explicit_bucket_boundaries_advisory": BOUNDS}
        histogram = shared.create_histogram("h", **bounds)
        sdk_counter, sdk_histogram = sdk.create_counter("c"), sdk.create_histogram("h", **bounds)
        seconds = medians(
            {
                "counter": lambda: counter.add(1, THREE),
                "counter on the heap": lambda: on_heap.add(1, THREE),
                "bound": lambda: bound.add(1),
                "histogram": lambda: histogram.record(0.07, TWO),
                "prometheus counter": lambda: their_counter.labels("GET", "/items/{id}", "200").inc(),
                "prometheus bound": lambda: their_bound.inc(),
                "prometheus histogram": lambda: their_histogram.labels("GET", "/items/{id}").observe(0.07),
                "sdk counter": lambda: sdk_counter.add(1, THREE),
                "sdk histogram": lambda: sdk_histogram.record(0.07, TWO),
                "nothing": lambda: None,
            }
        )
    empty = seconds.pop("nothing")
    cost = {name: taken - empty for name, taken in seconds.items()}
    return [
        (
            "counter, 3 attributes / prometheus_client labels().inc()",
            cost["counter"] / cost["prometheus counter"],
            0.35,
        ),
        ("counter, 3 attributes / OpenTelemetry SDK", cost["counter"] / cost["sdk counter"], 0.08),
        (
            "histogram, 2 attributes, 8 bounds / prometheus_client",
            cost["histogram"] / cost["prometheus histogram"],
            0.4,
        ),
        (
            "histogram, 2 attributes, 8 bounds / OpenTelemetry SDK",
            cost["histogram"] / cost["sdk histogram"],
            0.11,
        ),
        ("bound counter / prometheus_client's bound child", cost["bound"] / cost["prometheus bound"], 0.4),
        ("counter in shared memory / on the heap", cost["counter"] / cost["counter on the heap"], 1.1),
    ]


def compare_series() -> list[Result]:
    """The same call with 1 and with 100,000 series."""
    meter = MeterProvider(cardinality_limit=200_000).get_meter("bench")
    one, many = meter.create_counter("one"), meter.create_counter("many")
    for number in range(100_000):
        many.add(1, {"series": str(number)})
    seconds = medians(
        {"one": lambda: one.add(1, {"series": "7"}), "many": lambda: many.add(1, {"series": "7"})}
    )
    return [("counter with 100,000 series / with 1", seconds["many"] / seconds["one"], 1.1)]


def compare_memory() -> Result:
    """Bytes of a label set: one counter, one histogram of 8 bounds."""
    ours = _grown(_record_ours)
    theirs = _grown(_record_theirs)
    return ("memory of a label set / prometheus_client", ours / theirs, 0.4)


def _record_ours(sets: int) -> object:
    provider = MeterProvider(cardinality_limit=sets + 10)
    meter = provider.get_meter("bench")
    counter = meter.create_counter("c")
    histogram = meter.create_histogram("h", explicit_bucket_boundaries_advisory=BOUNDS)
    for number in range(sets):
        attributes = {"method": "GET", "endpoint": f"/{number}", "status_code": "200"}
        counter.add(1, attributes)
        histogram.record(0.07, attributes)
    cells = provider.worker.store().used_cells * 8 + provider.worker.store().index_bytes
    return provider, bytearray(cells)  # what lies in the mapping, which tracemalloc does not see


def _record_theirs(sets: int) -> object:
    registry = prometheus_client.CollectorRegistry()
    counter = prometheus_client.Counter("c", "c", list(THREE), registry=registry)
    histogram = prometheus_client.Histogram("h", "h", list(THREE), buckets=BOUNDS, registry=registry)
    for number in range(sets):
        counter.labels("GET", f"/{number}", "200").inc()
        histogram.labels("GET", f"/{number}", "200").observe(0.07)
    return registry


def _grown(record: Callable[[int], object], sets: int = 5_000) -> float:
    gc.collect()
    tracemalloc.start()
    kept = record(sets)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return grown / sets


def compare_threads(threads: int = 8, calls: int = 20_000) -> Result:
    """Eight threads on one series, per call, against one thread; none of them is lost."""
    provider = MeterProvider()
    counter = provider.get_meter("bench").create_counter("c")

    def record() -> None:
        for _ in range(calls):
            counter.add(1, THREE)

    counter.add(1, THREE)
    one = sorted(timeit.repeat(record, number=threads, repeat=5))[2]
    recorded = 1 + 5 * threads * calls

    def all_at_once() -> None:
        running = [threading.Thread(target=record) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    several = sorted(timeit.repeat(all_at_once, number=1, repeat=5))[2]
    recorded += 5 * threads * calls
    counted = provider.worker.store().cells[0]
    if counted != recorded:
        raise AssertionError(f"{threads} threads recorded {recorded} and {counted} were counted")
    return (f"counter, {threads} threads / one thread", several / one, 1.3)


def _memory_backed() -> str | None:
    import os

    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
