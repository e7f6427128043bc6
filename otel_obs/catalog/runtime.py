"""The machine, the process and the interpreter; their values are right in a forked child too."""

from __future__ import annotations

import gc
import sys
import threading
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any, ClassVar

from otel_obs import compiled
from otel_obs.catalog import asgi, process, workers
from otel_obs.catalog.asgi import (
    background_task_duration_seconds,
    background_tasks_in_progress,
    background_tasks_total,
    worker_thread_tokens_limit,
    worker_thread_tokens_used,
    worker_thread_tokens_waiting,
)
from otel_obs.catalog.kit.kinds import (
    HistogramMetric,
    Measurements,
    ObservableGaugeMetric,
    ObserveCallback,
)
from otel_obs.catalog.kit.naming import ANY
from otel_obs.host import forks
from otel_obs.host.weak import WeakObjects

__all__ = [
    "background_task_duration_seconds",
    "background_tasks_in_progress",
    "background_tasks_total",
    "event_loop_lag_seconds",
    "process_memory_bytes",
    "python_gc_pause_seconds",
    "python_threads",
    "system_cpu_percent",
    "system_memory_percent",
    "worker_thread_tokens_limit",
    "worker_thread_tokens_used",
    "worker_thread_tokens_waiting",
]


system_memory_percent = ObservableGaugeMetric(
    "system_memory_percent", "Memory of the machine in use, in percent", unit="%"
)
system_cpu_percent = ObservableGaugeMetric(
    "system_cpu_percent", "CPU of the machine in use, in percent", unit="%"
)
process_memory_bytes = ObservableGaugeMetric(
    "process_memory_bytes",
    "Memory of the process in bytes",
    unit="By",
    attributes={"type": ("rss", "vms")},
    merge="sum",
)
python_threads = ObservableGaugeMetric(
    "python_threads", "Threads of the interpreter", unit="{thread}", merge="sum"
)
python_gc_pause_seconds = HistogramMetric(
    "python_gc_pause_seconds",
    "Pauses for garbage collection in seconds",
    unit="s",
    attributes={"generation": ANY},
    bounds=(0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1),
)
event_loop_lag_seconds = HistogramMetric(
    "event_loop_lag_seconds",
    "Seconds that the event loop was late",
    unit="s",
    bounds=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
)

_MAX_PAUSES = 10_000
_pauses: deque[tuple[int, float]] = deque(maxlen=_MAX_PAUSES)
_watched: WeakObjects[Any] = WeakObjects()
_era = 0
"""Incremented by `stop()`: a loop's timer from an earlier era sees the difference and does not go on."""


class _Collections:
    """What observes the garbage collector: if possible a compiled callback, which runs no Python code."""

    note: ClassVar[Callable[[str, dict[str, int]], None] | None] = None
    began_s: ClassVar[float] = 0.0


class _PartInService:
    """What this process is in its service, as `start` is told."""

    is_worker: ClassVar[Callable[[], bool]]
    has_recorded: ClassVar[Callable[[], bool]]


def _in_workers(callback: ObserveCallback) -> ObserveCallback:
    """*callback*, returning nothing in a process that is no worker."""

    def observe() -> Measurements:
        return callback() if _PartInService.is_worker() else ()

    return observe


_cpu_before: tuple[float, float] = (0.0, 0.0)


def start(
    is_worker: Callable[[], bool] = lambda: True, has_recorded: Callable[[], bool] = lambda: True
) -> None:
    """Begin to observe; psutil is imported at the first collection.

    A server's master that pushes, or has the metrics' own port, would become a worker by what is observed.

    Args:
        is_worker: Whether this process is to be observed.
        has_recorded: Whether it has recorded anything; its pauses are not recorded before.
    """
    _PartInService.is_worker = staticmethod(is_worker)
    _PartInService.has_recorded = staticmethod(has_recorded)
    for metric, callback in _OBSERVED:
        metric.observe(callback)
    if _Collections.note not in gc.callbacks:
        _Collections.note = compiled.pauses(_pauses.append) or _note_collection
        gc.callbacks.append(_Collections.note)
    asgi.start()


def stop() -> None:
    """Observe no longer."""
    global _era
    for metric, callback in _OBSERVED:
        metric.unobserve(callback)
    if _Collections.note in gc.callbacks:
        gc.callbacks.remove(_Collections.note)
    _watched.clear()
    asgi.stop()
    _era += 1


def _system_memory() -> Measurements:
    import psutil

    yield psutil.virtual_memory().percent, {}


def _system_cpu() -> Measurements:
    """The share of busy time since the last call; at the first call since the machine started."""
    global _cpu_before
    import psutil

    times = psutil.cpu_times()
    # Linux counts the time of guests in user and nice as well.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    idle = times.idle + getattr(times, "iowait", 0.0)
    busy_before, total_before = _cpu_before
    elapsed = total - total_before
    if elapsed > 0:
        _cpu_before = (total - idle, total)
        yield min(max(100 * (total - idle - busy_before) / elapsed, 0.0), 100.0), {}


def _process_memory() -> Measurements:
    memory = process.psutil_process().memory_info()
    yield memory.rss, {"type": "rss"}
    yield memory.vms, {"type": "vms"}


def _threads() -> Measurements:
    _record_pauses()
    yield threading.active_count(), {}


def _note_collection(phase: str, info: dict[str, int]) -> None:
    """Queue the duration of a garbage collection; `_record_pauses` records it later.

    A collection may start in any code, also within the recording of a metric, so this must take no lock. To
    append to a deque is atomic.
    """
    if phase == "start":
        _Collections.began_s = perf_counter()
    elif _Collections.began_s:
        _pauses.append((info["generation"], perf_counter() - _Collections.began_s))


def _record_pauses() -> None:
    while _pauses and _PartInService.has_recorded():
        generation, seconds = _pauses.popleft()
        python_gc_pause_seconds.record(seconds, {"generation": str(generation)})


def watch_running_loop() -> None:
    """Record the lag of the event loop that runs in this thread, if one does, from now on.

    The ASGI middleware calls this for each loop that serves requests.
    """
    asyncio = sys.modules.get("asyncio")
    loop = asyncio and asyncio._get_running_loop()
    if loop is not None and loop not in _watched:
        _watched.add(loop)
        asgi.note_limiter()
        watch_event_loop(loop)


def watch_event_loop(loop: Any, interval_s: float = 0.5) -> Callable[[], None]:
    """Record how late an event loop runs a timer, again and again.

    Args:
        loop: An asyncio event loop.
        interval_s: Seconds between two looks.

    Returns:
        A function that stops it.
    """
    handle: Any = None
    era = _era

    def look(due: float) -> None:
        nonlocal handle
        if era != _era:
            return
        now = loop.time()
        event_loop_lag_seconds.record(max(now - due, 0.0))
        handle = loop.call_at(now + interval_s, look, now + interval_s)

    begin = loop.time() + interval_s
    handle = loop.call_at(begin, look, begin)
    return lambda: handle.cancel()


_OBSERVED = [
    (metric, _in_workers(callback))
    for metric, callback in (
        (system_memory_percent, _system_memory),
        (system_cpu_percent, _system_cpu),
        (process_memory_bytes, _process_memory),
        (python_threads, _threads),
        *process.OBSERVED,
        *workers.OBSERVED,
        *asgi.OBSERVED,
    )
]

# The parent records its own pauses.
forks.after_in_child(_pauses.clear)
