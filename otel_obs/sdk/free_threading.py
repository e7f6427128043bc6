"""Recording on Python builds without the GIL: the same code, under one lock for the process.

With the GIL, `cells[offset] += amount` is one step. Without it, two threads may read the same value before
either stores, and one amount is lost. The compiled paths add atomically, and take the lock only where a
thread that runs Python code has it.

What a recording method passes everything unusual to runs without the lock, as it does with a GIL: it calls
code of others, such as a logging handler, which may wait for a thread that records.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from otel_obs.host import gil
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
    step_out(Recorder, "_slow", "_offer")
    step_out(Gauge, "increase")
    step_out(UpDownCounter, "put")
    Recorder._record_known = _known(Recorder._record_known)  # type: ignore[method-assign]


def step_out(kind: type, *names: str) -> None:
    """Have methods of *kind*, when a method under the lock calls them, release it until they return."""
    for name in names:
        setattr(kind, name, _without_lock(vars(kind)[name]))


def _without_lock(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def outside(self: Any, *arguments: Any) -> Any:
        lock = gil.lock
        # Taken once: by a recording method. More often: in the middle of a change, which must not be seen.
        # Python 3.10 has no count, and always a GIL.
        if not hasattr(lock, "_recursion_count") or lock._recursion_count() != 1:
            return method(self, *arguments)
        try:  # before the release: a signal handler may raise right after it
            lock.release()
            return method(self, *arguments)
        finally:
            if gil.lock is not lock:  # a child's: a thread that is not here may hold the parent's
                lock._at_fork_reinit()
            lock.acquire()

    return outside


def _known(record: Callable[..., bool]) -> Callable[..., bool]:
    @wraps(record)
    def locked(self: Any, value: float, attributes: Any, context: Any) -> bool:
        with gil.lock:
            return record(self, value, attributes, context)

    return locked


def under_lock(record: Callable[..., None]) -> Callable[..., None]:
    """Wrap a recording method, so that one thread at a time runs it.

    The wrapper has explicit parameters where possible: they cost a third of what `*arguments` do.
    """
    _, *parameters = inspect.signature(record).parameters.values()
    make = _BY_PARAMETERS[tuple(each.name for each in parameters)]
    return wraps(record)(make(record, parameters[0].default))


def _amount(record: Callable[..., None], default: Any) -> Callable[..., None]:
    if default is inspect.Parameter.empty:

        def locked(self: Any, amount: Any) -> None:
            with gil.lock:
                record(self, amount)

        return locked

    def locked_by_default(self: Any, amount: Any = default) -> None:
        with gil.lock:
            record(self, amount)

    return locked_by_default


def _value(record: Callable[..., None], default: Any) -> Callable[..., None]:
    def locked(self: Any, value: Any) -> None:
        with gil.lock:
            record(self, value)

    return locked


def _amount_and_attributes(record: Callable[..., None], default: Any) -> Callable[..., None]:
    def locked(self: Any, amount: Any, attributes: Any = None, context: Any = None) -> None:
        with gil.lock:
            record(self, amount, attributes, context)

    return locked


def _amount_and_exemplar(record: Callable[..., None], default: Any) -> Callable[..., None]:
    if default is inspect.Parameter.empty:

        def locked(self: Any, amount: Any, exemplar: Any = None) -> None:
            with gil.lock:
                record(self, amount, exemplar)

        return locked

    def locked_by_default(self: Any, amount: Any = default, exemplar: Any = None) -> None:
        with gil.lock:
            record(self, amount, exemplar)

    return locked_by_default


_BY_PARAMETERS: dict[tuple[str, ...], Callable[[Callable[..., None], Any], Callable[..., None]]] = {
    ("amount",): _amount,
    ("value",): _value,
    ("amount", "attributes", "context"): _amount_and_attributes,
    ("amount", "exemplar"): _amount_and_exemplar,
}
