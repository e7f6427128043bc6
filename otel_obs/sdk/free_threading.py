"""Builds without the GIL run the same recording code, under the worker's lock.

With the GIL a store to a cell is one step; without it two threads may read the same value first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from otel_obs.sdk.bound import Bound
from otel_obs.sdk.instruments import (
    BoundCounter,
    BoundGauge,
    BoundHistogram,
    BoundUpDownCounter,
    Counter,
    Gauge,
    Histogram,
    UpDownCounter,
)
from otel_obs.sdk.recording import Recorder

_KINDS: tuple[type, ...] = (
    Counter,
    BoundCounter,
    UpDownCounter,
    BoundUpDownCounter,
    Gauge,
    BoundGauge,
    Histogram,
    BoundHistogram,
)
_METHODS = ("add", "inc", "dec", "set", "record", "observe")


def lock_recording() -> None:
    """Put every method that records, under each of its names, under the lock."""
    for kind in _KINDS:
        for name in _METHODS:
            if name in vars(kind):
                setattr(kind, name, under_lock(vars(kind)[name]))


def under_lock(record: Callable[..., None]) -> Callable[..., None]:
    """The same method, one thread at a time."""

    @wraps(record)
    def locked(self: Recorder | Bound, *arguments: Any, **options: Any) -> None:
        recorder = self._recorder if isinstance(self, Bound) else self
        with recorder._owner.worker.lock:
            record(self, *arguments, **options)

    return locked
