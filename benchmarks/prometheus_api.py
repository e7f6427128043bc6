"""What code that is written for `prometheus_client` costs, with the import changed and unchanged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from types import ModuleType
from typing import Any

import prometheus_client

from benchmarks.recording import CALLS, medians
from otel_obs import prometheus
from otel_obs.cells.membership import Service
from otel_obs.cells.snapshot import Snapshot
from otel_obs.cells.view import MergedView
from otel_obs.cells.worker import Worker
from otel_obs.exposition import Options
from otel_obs.sdk import MeterProvider

Result = tuple[str, float, float]

LABELS = ("GET", "/items/{id}", "200")
NAMES = ("method", "endpoint", "status_code")
BOUNDS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0)

_THEIRS_OVER_WORKERS = """
import json, sys, prometheus_client
from benchmarks.prometheus_api import calls, measure
print(json.dumps(measure(calls(prometheus_client))))
"""


class _Shared:
    """A service of several workers, of which this process is one."""

    options = Options()

    def __init__(self, base: str) -> None:
        service = Service([base], "0" * 16)
        self.provider = MeterProvider(worker=Worker(service.open_store), shutdown_on_exit=False)
        self._view = MergedView(self.provider.worker, service.run_dir)

    def snapshot(self) -> Snapshot:
        return self._view.snapshot()


def run() -> list[Result]:
    """Measure; each row is what, the ratio of ours to theirs, and the goal."""
    over_workers = _theirs_over_workers()
    theirs_alone = calls(prometheus_client)  # made before anybody stands in
    with tempfile.TemporaryDirectory(dir=_memory_backed()) as base:
        prometheus.install(_Shared(base))
        prometheus.stand_in()
        every = {
            **{f"ours, {what}": call for what, call in calls(prometheus, is_shared=True).items()},
            **{f"unchanged, {what}": call for what, call in calls(prometheus_client, is_shared=True).items()},
            **{f"theirs, {what}": call for what, call in theirs_alone.items()},
        }
        seconds = measure(every)
        prometheus.stand_aside()
    rows = []
    for what in theirs_alone:
        ours, theirs = seconds[f"ours, {what}"], seconds[f"theirs, {what}"]
        rows.append((f"{what} / prometheus_client", ours / theirs, 1.0))
        rows.append((f"{what}, import unchanged / alone", seconds[f"unchanged, {what}"] / theirs, 1.0))
        rows.append((f"{what} / its multi-process mode", ours / over_workers[what], 0.5))
    return rows


def calls(library: ModuleType, is_shared: bool = False) -> dict[str, Callable[[], object]]:
    """What applications do all the time, with metrics that are shared over workers or that are not."""
    registry: Any = library.CollectorRegistry()
    if is_shared:
        prometheus.share(registry)
    counter = library.Counter("requests", "Requests", NAMES, registry=registry)
    histogram = library.Histogram("latency", "Latency", NAMES[:2], buckets=BOUNDS, registry=registry)
    gauge = library.Gauge("level", "Level", registry=registry)
    bound, bound_histogram = counter.labels(*LABELS), histogram.labels(*LABELS[:2])
    method, endpoint, status = LABELS
    return {
        "labels().inc()": lambda: counter.labels(method, endpoint, status).inc(),
        "labels(name=…).inc()": lambda: counter.labels(
            method=method, endpoint=endpoint, status_code=status
        ).inc(),
        "labels(…, 200).inc()": lambda: counter.labels(method, endpoint, 200).inc(),
        "labels().observe()": lambda: histogram.labels(method, endpoint).observe(0.07),
        "inc()": lambda: bound.inc(),
        "observe()": lambda: bound_histogram.observe(0.07),
        "gauge.set()": lambda: gauge.set(7.0),
        "gauge.inc()": lambda: gauge.inc(),
    }


def measure(each: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of each call, without those of a call that does nothing."""
    seconds = medians({**each, "nothing": lambda: None}, CALLS)
    empty = seconds.pop("nothing")
    return {what: taken - empty for what, taken in seconds.items()}


def _theirs_over_workers() -> dict[str, float]:
    """Their costs with a directory that other workers read; it has to be named before the import."""
    with tempfile.TemporaryDirectory(dir=_memory_backed()) as directory:
        environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": directory}
        done = subprocess.run(
            [sys.executable, "-c", _THEIRS_OVER_WORKERS],
            env=environ,
            capture_output=True,
            text=True,
            check=True,
        )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _memory_backed() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
