"""Work beside the event loop of an ASGI application: its worker threads and its background tasks.

Both belong to Starlette and FastAPI. Requests cost nothing extra: the thread limiters are read by callbacks
when values are collected, and only a background task itself gets a little slower.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from otel_obs.catalog.kit.kinds import (
    CounterMetric,
    HistogramMetric,
    Measurements,
    ObservableGaugeMetric,
    UpDownCounterMetric,
)
from otel_obs.catalog.kit.naming import ANY
from otel_obs.host import forks
from otel_obs.host.changes import Replacements
from otel_obs.host.imports import when_imported
from otel_obs.host.weak import WeakObjects

__all__ = [
    "background_task_duration_seconds",
    "background_tasks_in_progress",
    "background_tasks_total",
    "worker_thread_tokens_limit",
    "worker_thread_tokens_used",
    "worker_thread_tokens_waiting",
]


worker_thread_tokens_limit = ObservableGaugeMetric(
    "worker_thread_tokens_limit",
    "Worker threads that functions without async may use at once",
    unit="{thread}",
    merge="sum",
)
worker_thread_tokens_used = ObservableGaugeMetric(
    "worker_thread_tokens_used",
    "Worker threads that functions without async use now",
    unit="{thread}",
    merge="sum",
)
worker_thread_tokens_waiting = ObservableGaugeMetric(
    "worker_thread_tokens_waiting", "Calls that wait for a worker thread", unit="{call}", merge="sum"
)
background_tasks_total = CounterMetric(
    "background_tasks_total",
    "Background tasks that have ended",
    unit="{task}",
    attributes={"task": ANY, "status": ("success", "error")},
)
background_task_duration_seconds = HistogramMetric(
    "background_task_duration_seconds",
    "Seconds that background tasks took",
    unit="s",
    attributes={"task": ANY},
    bounds=(0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
background_tasks_in_progress = UpDownCounterMetric(
    "background_tasks_in_progress",
    "Background tasks that run now",
    unit="{task}",
    attributes={"task": ANY},
)

_limiters: WeakObjects[Any] = WeakObjects()
"""AnyIO's limiters of worker threads, one for each event loop. Weak: a limiter may hold its loop."""

_changes = Replacements()
_unwaited: list[Callable[[], None]] = []
"""Cancel the hooks that wait for the import of Starlette."""


def note_limiter() -> None:
    """Observe the worker threads of the event loop that runs in this thread."""
    to_thread = sys.modules.get("anyio.to_thread")
    if to_thread is not None:
        _limiters.add(to_thread.current_default_thread_limiter())


def _of_limiters(value: Callable[[Any], float]) -> Callable[[], Measurements]:
    def values() -> Measurements:
        limiters = _limiters.living()
        if limiters:
            yield sum(map(value, limiters)), {}

    return values


OBSERVED = (
    (worker_thread_tokens_limit, _of_limiters(lambda limiter: float(limiter.total_tokens))),
    (worker_thread_tokens_used, _of_limiters(lambda limiter: float(limiter.borrowed_tokens))),
    (worker_thread_tokens_waiting, _of_limiters(lambda limiter: float(_waiting(limiter)))),
)


def _waiting(limiter: Any) -> int:
    for _ in range(3):
        try:
            waiting: int = limiter.statistics().tasks_waiting
        except RuntimeError:  # the loop's thread changed the set of borrowers meanwhile
            continue
        return waiting
    return 0


def start() -> None:
    """Record every background task, as soon as Starlette is imported."""
    stop()
    _unwaited.append(when_imported("starlette.background", _time_tasks))


def _time_tasks(module: Any) -> None:
    _changes.make(module.BackgroundTask, "__call__", _timed)


def stop() -> None:
    """Restore Starlette's background tasks, and observe no event loop."""
    while _unwaited:
        _unwaited.pop()()
    _changes.undo()
    _limiters.clear()


def _timed(call: Callable[..., Any]) -> Callable[..., Any]:
    async def timed(self: Any) -> None:
        task = task_name(self.func)
        background_tasks_in_progress.add(1, {"task": task})
        started_s, status = perf_counter(), "error"
        try:
            await call(self)
            status = "success"
        finally:
            background_tasks_in_progress.add(-1, {"task": task})
            background_tasks_total.add(1, {"task": task, "status": status})
            background_task_duration_seconds.record(perf_counter() - started_s, {"task": task})

    return timed


def task_name(function: Any) -> str:
    """The label of a task: the name of its function, so that the number of series is bounded."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__qualname__", type(function).__qualname__))


# The event loops of the parent do not run in the child.
forks.after_in_child(_limiters.clear)
