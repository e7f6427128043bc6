"""The `process_*` and `python_*` families of every Python service, merged over workers.

Names and labels are those of `prometheus_client`, which shows the values of one worker only.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import Any

from otel_obs.catalog.kit.kinds import Measurements, ObservableCounterMetric, ObservableGaugeMetric
from otel_obs.catalog.kit.naming import ANY
from otel_obs.host import forks

__all__ = [
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
    "python_gc_collections_total",
    "python_gc_objects_collected_total",
    "python_gc_objects_uncollectable_total",
    "python_info",
]


_GENERATION = {"generation": ANY}

process_cpu_seconds_total = ObservableCounterMetric(
    "process_cpu_seconds_total",
    "Total user and system CPU time spent in seconds.",
    unit="s",
    is_standard=True,
)
process_resident_memory_bytes = ObservableGaugeMetric(
    "process_resident_memory_bytes",
    "Resident memory size in bytes.",
    unit="By",
    merge="sum",
    is_standard=True,
)
process_virtual_memory_bytes = ObservableGaugeMetric(
    "process_virtual_memory_bytes",
    "Virtual memory size in bytes.",
    unit="By",
    merge="sum",
    is_standard=True,
)
process_start_time_seconds = ObservableGaugeMetric(
    "process_start_time_seconds",
    "Start time of the process since unix epoch in seconds.",
    unit="s",
    merge="min",
    is_standard=True,
)
process_open_fds = ObservableGaugeMetric(
    "process_open_fds", "Number of open file descriptors.", merge="sum", is_standard=True
)
process_max_fds = ObservableGaugeMetric(
    "process_max_fds", "Maximum number of open file descriptors.", merge="sum", is_standard=True
)
python_info = ObservableGaugeMetric(
    "python_info",
    "Python platform information",
    attributes={"implementation": ANY, "major": ANY, "minor": ANY, "patchlevel": ANY, "version": ANY},
    merge="max",
    is_standard=True,
)
python_gc_objects_collected_total = ObservableCounterMetric(
    "python_gc_objects_collected_total",
    "Objects collected during gc",
    attributes=_GENERATION,
    is_standard=True,
)
python_gc_objects_uncollectable_total = ObservableCounterMetric(
    "python_gc_objects_uncollectable_total",
    "Uncollectable objects found during GC",
    attributes=_GENERATION,
    is_standard=True,
)
python_gc_collections_total = ObservableCounterMetric(
    "python_gc_collections_total",
    "Number of times this generation was collected",
    attributes=_GENERATION,
    is_standard=True,
)

_collected_by_parent: list[dict[str, int]] = []
"""`gc.get_stats()` at the fork: a child inherits the parent's counts, which the parent exposes itself."""


def psutil_process() -> Any:
    """This process. Made anew each time: a kept object would have the parent's pid after a fork."""
    import psutil

    return psutil.Process()


def _cpu() -> Measurements:
    times = os.times()
    yield times.user + times.system, {}


def open_fds() -> Measurements:
    """How many files this process has open; nothing where the platform does not report it."""
    process = psutil_process()
    count = getattr(process, "num_fds", None) or getattr(process, "num_handles", None)
    if count is not None:
        yield count(), {}


def _max_fds() -> Measurements:
    process = psutil_process()
    if hasattr(process, "rlimit"):
        import psutil

        yield process.rlimit(psutil.RLIMIT_NOFILE)[0], {}


def _python() -> Measurements:
    import platform

    major, minor, patchlevel = platform.python_version_tuple()
    labels = {
        "implementation": platform.python_implementation(),
        "major": major,
        "minor": minor,
        "patchlevel": patchlevel,
        "version": platform.python_version(),
    }
    yield 1, labels


def _collections(what: str) -> Measurements:
    """A statistic of the garbage collector in this process, without the parent's before the fork."""
    for generation, stats in enumerate(gc.get_stats()):
        before = _collected_by_parent[generation][what] if _collected_by_parent else 0
        yield stats[what] - before, {"generation": str(generation)}


OBSERVED: tuple[tuple[ObservableGaugeMetric | ObservableCounterMetric, Callable[[], Measurements]], ...] = (
    (process_cpu_seconds_total, _cpu),
    (process_resident_memory_bytes, lambda: [(psutil_process().memory_info().rss, {})]),
    (process_virtual_memory_bytes, lambda: [(psutil_process().memory_info().vms, {})]),
    (process_start_time_seconds, lambda: [(psutil_process().create_time(), {})]),
    (process_open_fds, open_fds),
    (process_max_fds, _max_fds),
    (python_info, _python),
    (python_gc_objects_collected_total, lambda: _collections("collected")),
    (python_gc_objects_uncollectable_total, lambda: _collections("uncollectable")),
    (python_gc_collections_total, lambda: _collections("collections")),
)
"""Each metric, with the callback that returns its values."""


def _after_fork_in_child() -> None:
    _collected_by_parent[:] = gc.get_stats()


forks.after_in_child(_after_fork_in_child)
