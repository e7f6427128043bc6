"""One number of a series, as code written for `prometheus_client` looks at it: `counter._value.get()`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any, Protocol

from prometheus_client.values import MutexValue

from otel_obs.prometheus._naming import known_as


class Located(Protocol):
    """A series that knows where its numbers are."""

    def number(self, at: int) -> float:
        """One of its numbers, in this process."""

    def set_number(self, at: int, value: float) -> None:
        """Change one of its numbers."""

    def add_number(self, at: int, amount: float) -> None:
        """Add to one of its numbers."""

    def keep(self, exemplar: Any) -> None:
        """Keep an exemplar of `prometheus_client`'s."""


MergedValue = Callable[[Located, int], float]

merged: ContextVar[MergedValue | None] = ContextVar("otel_obs.prometheus.merged", default=None)
"""What a number is over all workers, while a subclass makes samples of its own from it."""


class Value:
    """A number of this process; other workers have their own.

    A number of `prometheus_client` becomes one when its metric moves to shared cells: whoever holds it goes
    on with the same object.
    """

    _multiprocess = False

    def __init__(self, series: Located, at: int) -> None:
        self._series = series
        self._at = at

    def get(self) -> float:
        """What it is."""
        over_workers = merged.get()
        if over_workers is not None:
            return over_workers(self._series, self._at)
        return self._series.number(self._at)

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Change it."""
        self._series.set_number(self._at, float(value))

    def inc(self, amount: float) -> None:
        """Add to it."""
        self._series.add_number(self._at, amount)

    @property
    def _value(self) -> float:
        return self._series.number(self._at)

    @_value.setter
    def _value(self, value: float) -> None:
        self.set(value)

    def get_exemplar(self) -> None:
        """None: exemplars are read with their family."""

    def set_exemplar(self, exemplar: Any) -> None:
        """Keep an exemplar with the series."""
        self._series.keep(exemplar)


known_as(Value, MutexValue)


def number_at(place: Callable[[Any], int]) -> property:
    """The attribute under which a metric has one of its numbers.

    Args:
        place: Says of a metric which number it is.
    """

    def get(series: Any) -> Value:
        return Value(series, place(series))

    def put(series: Any, value: Any) -> None:
        series.set_number(place(series), float(value.get()))

    return property(get, put)


def hand_over(value: Any, series: Located, at: int) -> tuple[float, Any]:
    """Have a number of `prometheus_client` stand for one of a series from now on.

    A thread that is about to add to it waits for its lock, and adds to the series then.

    Returns:
        What it was, and its exemplar.
    """
    if value._multiprocess:
        # Its class keeps a list of them, and reads its file anew in a child: it stays what it is.
        amount: float = value.get()
        if value._params[0] != "gauge":
            value.set(0.0)
        return amount, None
    with getattr(value, "_lock", None) or nullcontext():
        amount, exemplar = value._value, value._exemplar
        value.__dict__.update(_series=series, _at=at)
        value.__class__ = Value
    return amount, exemplar
