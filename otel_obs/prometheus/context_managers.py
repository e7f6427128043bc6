"""What `time()`, `count_exceptions()` and `track_inprogress()` return: context managers and decorators.

As decorators they also measure coroutine functions and generators to their end. Those of `prometheus_client`
measure only the call that creates the coroutine or generator.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from prometheus_client import context_managers as their_context_managers

from otel_obs.sdk.context_managers import wrap

__all__ = ["ExceptionCounter", "InprogressTracker", "Timer"]

F = TypeVar("F", bound=Callable[..., Any])

_LASTING = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


def _lasts(function: Callable[..., Any]) -> bool:
    """Whether a call of *function* only creates a coroutine or a generator, which does the work later."""
    return any(is_such(function) for is_such in _LASTING)


class Timer(their_context_managers.Timer):
    """Records the seconds of a block or a call to a metric."""

    def __call__(self, f: F) -> F:
        """Measure every call of *f*."""
        if _lasts(f):
            return wrap(f, lambda args, kwargs: self._new_timer())  # type: ignore[return-value,no-untyped-call]
        return super().__call__(f)


class ExceptionCounter(their_context_managers.ExceptionCounter):
    """Counts what a block or a call raises."""

    def __call__(self, f: F) -> F:
        """Count over every call of *f*."""
        return wrap(f, lambda args, kwargs: self) if _lasts(f) else super().__call__(f)  # type: ignore[return-value]


class InprogressTracker(their_context_managers.InprogressTracker):
    """Raises a gauge by one while a block or a call runs."""

    def __call__(self, f: F) -> F:
        """Track every call of *f*."""
        return wrap(f, lambda args, kwargs: self) if _lasts(f) else super().__call__(f)  # type: ignore[return-value]
