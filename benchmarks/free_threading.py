"""What recording costs with eight threads where there is no GIL, beside `prometheus_client` in the same run.

Each row is the time of all threads together over theirs. It measures nothing on a Python with a GIL. The
Python of the environment that `make pythons VERSIONS=3.13t` leaves runs it.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable

from benchmarks._twins import ours, theirs
from benchmarks.recording import THREE, TWO, _memory_backed
from otel_obs import compiled
from otel_obs.host import gil

Result = tuple[str, float, float]
THREADS, CALLS, ROUNDS = 8, 20_000, 9


def run() -> list[Result]:
    """Measure; each row is what, the ratio of ours to theirs, and the goal."""
    if gil.IS_ON:
        print("this Python has a GIL")
        return []
    if not compiled.is_used:
        print(f"not compiled: {compiled.reason}")
    base = tempfile.mkdtemp(dir=_memory_backed())
    try:
        pairs = _pairs(base)
        taken: dict[str, list[float]] = {what: [] for what in pairs}
        for _ in range(ROUNDS):
            for what, (ours, theirs) in pairs.items():
                taken[what].append(_seconds(ours) / _seconds(theirs))
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return [(f"{what}, {THREADS} threads", statistics.median(each), 1.0) for what, each in taken.items()]


def _seconds(call: Callable[[], object]) -> float:
    """How long all threads together take."""

    def calls() -> None:
        start.wait()
        for _ in range(CALLS):
            call()

    start = threading.Barrier(THREADS + 1)
    threads = [threading.Thread(target=calls) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    start.wait()
    began_s = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began_s


def _pairs(base: str) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Ours in shared memory and theirs, the same calls."""
    their_counter, their_histogram, their_gauge = theirs()
    their_bound, their_bucket = their_counter.labels(*THREE.values()), their_histogram.labels(*TWO.values())
    counter, histogram, gauge = ours(base)
    bound, bucket, level = counter.bind(THREE), histogram.bind(TWO), gauge.bind({})
    return {
        "bound counter / counter of theirs": (lambda: bound.add(1), lambda: their_bound.inc()),
        "bound histogram / histogram of theirs": (
            lambda: bucket.record(0.07),
            lambda: their_bucket.observe(0.07),
        ),
        "gauge / gauge of theirs": (lambda: level.set(7.0), lambda: their_gauge.set(7.0)),
        "counter, 3 attributes / labels().inc() of theirs": (
            lambda: counter.add(1, dict(THREE)),
            lambda: their_counter.labels("GET", "/items/{id}", "200").inc(),
        ),
    }
