"""The workers of a service, one series each: a sum over all would hide a worker that leaks or hangs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from otel_obs.catalog import process
from otel_obs.catalog.kit.kinds import Measurements, ObservableCounterMetric, ObservableGaugeMetric
from otel_obs.catalog.kit.naming import ANY
from otel_obs.host import forks

__all__ = [
    "otel_obs_worker_cpu_percent",
    "otel_obs_worker_memory_bytes",
    "otel_obs_worker_open_fds",
    "otel_obs_worker_start_time_seconds",
    "otel_obs_worker_threads",
    "otel_obs_workers_started_total",
]


def _each(family: str, help: str, unit: str = "") -> ObservableGaugeMetric:
    return ObservableGaugeMetric(
        family, help, unit=unit, attributes={"worker": ANY}, merge="per_worker", is_standard=True
    )


otel_obs_workers_started_total = ObservableCounterMetric(
    "otel_obs_workers_started_total",
    "Workers that have started, those that have ended included",
    unit="{worker}",
    is_standard=True,
)
otel_obs_worker_memory_bytes = _each(
    "otel_obs_worker_memory_bytes", "Resident memory of each worker in bytes", "By"
)
otel_obs_worker_cpu_percent = _each(
    "otel_obs_worker_cpu_percent", "CPU that each worker uses, in percent of one core", "%"
)
otel_obs_worker_threads = _each("otel_obs_worker_threads", "Threads of each worker", "{thread}")
otel_obs_worker_open_fds = _each("otel_obs_worker_open_fds", "Open file descriptors of each worker")
otel_obs_worker_start_time_seconds = _each(
    "otel_obs_worker_start_time_seconds", "When each worker started, in seconds since unix epoch", "s"
)

_used_before: list[tuple[float, float]] = []
"""CPU seconds at the last collection, and its time on the monotonic clock; empty before the first."""


def _cpu_percent() -> Measurements:
    """CPU use since the last collection; at the first one, since the worker started."""
    times = os.times()
    used_s, now_s = times.user + times.system, time.monotonic()
    if _used_before:
        used_before_s, before_s = _used_before[0]
    else:
        used_before_s, before_s = 0.0, now_s - (time.time() - process.psutil_process().create_time())
    _used_before[:] = [(used_s, now_s)]
    if now_s > before_s:
        yield max(100 * (used_s - used_before_s) / (now_s - before_s), 0.0), {}


OBSERVED: tuple[tuple[ObservableGaugeMetric | ObservableCounterMetric, Callable[[], Measurements]], ...] = (
    (otel_obs_workers_started_total, lambda: [(1, {})]),
    (otel_obs_worker_memory_bytes, lambda: [(process.psutil_process().memory_info().rss, {})]),
    (otel_obs_worker_cpu_percent, _cpu_percent),
    (otel_obs_worker_threads, lambda: [(threading.active_count(), {})]),
    (otel_obs_worker_open_fds, process.open_fds),
    (otel_obs_worker_start_time_seconds, lambda: [(process.psutil_process().create_time(), {})]),
)
"""Each metric, with the callback that returns its values."""

# The parent's CPU time is not the child's: os.times() starts at 0 in a forked child.
forks.after_in_child(_used_before.clear)
