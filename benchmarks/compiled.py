"""What the plain cases of recording cost where they are compiled, beside `prometheus_client` in the same run.

An empty call is taken off each. The last rows are nanoseconds: those of an empty method in C, and what ours
take above it.
"""

from __future__ import annotations

import shutil
import tempfile
import timeit
from collections.abc import Callable
from typing import Any

from benchmarks._twins import ours, theirs
from benchmarks.prometheus_api import _Shared
from benchmarks.recording import THREE, TWO, _memory_backed
from otel_obs import compiled, prometheus

Result = tuple[str, float, float]
ROUNDS, CALLS = 250, 500


def run() -> list[Result]:
    """Measure; each row is what, the ratio of ours to theirs or nanoseconds, and the goal."""
    if not compiled.is_used:
        print(f"not compiled: {compiled.reason}")
        return []
    base = tempfile.mkdtemp(dir=_memory_backed())
    try:
        taken = nanoseconds(calls(base))
    finally:
        shutil.rmtree(base, ignore_errors=True)
    ratios = [
        ("bound counter", "counter of theirs", 0.06),
        ("bound histogram", "histogram of theirs", 0.08),
        ("gauge", "gauge of theirs", 0.1),
        ("counter, 3 attributes", "labels().inc() of theirs", 0.055),
        ("histogram, 2 attributes", "labels().observe() of theirs", 0.075),
        ("labels().inc()", "labels().inc() of theirs", 0.12),
    ]
    empty = taken["empty method in C"]
    return [
        *((f"{ours} / {theirs}", taken[ours] / taken[theirs], goal) for ours, theirs, goal in ratios),
        ("empty method in C, ns", empty, float("inf")),
        ("bound counter above it, ns", taken["bound counter"] - empty, 10.0),
        ("gauge above it, ns", taken["gauge"] - empty, 15.0),
        ("bound histogram above it, ns", taken["bound histogram"] - empty, 50.0),
    ]


def nanoseconds(each: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Of each call, without an empty one: the least of many short rounds, since others' work only adds."""
    every = {**each, "nothing": lambda: None}
    least = dict.fromkeys(every, float("inf"))
    for _ in range(ROUNDS):
        for name, call in every.items():
            least[name] = min(least[name], timeit.timeit(call, number=CALLS) / CALLS * 1e9)
    nothing = least.pop("nothing")
    return {name: taken - nothing for name, taken in least.items()}


def calls(base: str) -> dict[str, Callable[[], object]]:
    """Ours in shared memory and theirs, the same calls."""
    their_counter, their_histogram, their_gauge = theirs()
    their_bound, their_bucket = their_counter.labels(*THREE.values()), their_histogram.labels(*TWO.values())
    counter, histogram, gauge = ours(base)
    bound, bucket, level = counter.bind(THREE), histogram.bind(TWO), gauge.bind({})
    prometheus.install(_Shared(base))
    shared: Any = prometheus.CollectorRegistry()
    prometheus.share(shared)
    same = prometheus.Counter("c", "c", list(THREE), registry=shared)
    nothing = compiled.recording.nothing
    return {
        "empty method in C": lambda: nothing(1),
        "bound counter": lambda: bound.add(1),
        "bound histogram": lambda: bucket.record(0.07),
        "gauge": lambda: level.set(7.0),
        "counter, 3 attributes": lambda: counter.add(1, THREE),
        "histogram, 2 attributes": lambda: histogram.record(0.07, TWO),
        "labels().inc()": lambda: same.labels("GET", "/items/{id}", "200").inc(),
        "counter of theirs": lambda: their_bound.inc(),
        "histogram of theirs": lambda: their_bucket.observe(0.07),
        "gauge of theirs": lambda: their_gauge.set(7.0),
        "labels().inc() of theirs": lambda: their_counter.labels("GET", "/items/{id}", "200").inc(),
        "labels().observe() of theirs": lambda: their_histogram.labels("GET", "/items/{id}").observe(0.07),
    }
