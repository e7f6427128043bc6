"""One number of a series, for code that reads private attributes of the client: `counter._value.get()`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from contextvars import ContextVar
from math import inf, nan
from typing import Any, Protocol

from prometheus_client.values import MutexValue

from otel_obs.prometheus._borrowed_names import known_as

_OPEN_ANEW = "_MmapedValue__reset"
_EFFECTLESS = {"sum": 0.0, "min": inf, "max": -inf}
"""By the mode of a gauge, the value in a file that changes nothing in a merge; NaN in any other mode."""


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
"""Gives numbers merged over all workers, while an application's subclass makes its own samples of them."""


class Value:
    """A number of this process, at one place of a series' cells.

    When a metric of `prometheus_client` moves to shared cells, its values become instances of this class:
    code that holds such a value goes on with the same object.
    """

    _multiprocess = False

    def __init__(self, series: Located, at: int) -> None:
        self._series = series
        self._at = at

    def get(self) -> float:
        """The number; merged over all workers while `merged` is set."""
        over_workers = merged.get()
        if over_workers is not None:
            return over_workers(self._series, self._at)
        return self._series.number(self._at)

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Set the number of this process."""
        self._series.set_number(self._at, float(value))

    def inc(self, amount: float) -> None:
        """Add to the number of this process."""
        self._series.add_number(self._at, amount)

    @property
    def _value(self) -> float:
        return self._series.number(self._at)

    @_value.setter
    def _value(self, value: float) -> None:
        self.set(value)

    def get_exemplar(self) -> None:
        """Return None: exemplars are collected with the family."""

    def set_exemplar(self, exemplar: Any) -> None:
        """Keep an exemplar with the series."""
        self._series.keep(exemplar)


known_as(Value, MutexValue)


def be_a_series(metric: Any) -> None:
    """Raise the `AttributeError` of `prometheus_client` where a metric with labels is asked for a number."""
    if metric._is_parent():
        raise AttributeError(f"{type(metric).__name__!r} object with labels has no number; its series have")


def number_at(place: Callable[[Any], int]) -> property:
    """Make the property that stands for a value of `prometheus_client`, such as `_value` or `_sum`.

    Args:
        place: Gives, for a metric, the position of the number among its cells.

    A metric with labels has no such number, as there: code tells by it whether it holds a series.
    """

    def get(series: Any) -> Value:
        be_a_series(series)
        return Value(series, place(series))

    def put(series: Any, value: Any) -> None:
        series.set_number(place(series), float(value.get()))

    return property(get, put)


class HeldNumber:
    """What a value of `prometheus_client` has counted, on its way to a place of a series' cells."""

    def __init__(self, value: Any, at: int) -> None:
        self.value, self.at = value, at
        self.amount: float | None = None
        """What is not in the cells yet; None as long as the value holds it itself."""
        self.exemplar: Any = None

    def hand_over(self, series: Located) -> None:
        """Turn the value into a `Value` of *series*, and take what it has counted; once, if called again.

        Under the value's lock: a thread that is adding to it is waited for, so that nothing is lost.
        """
        value = self.value
        if isinstance(value, Value):
            return
        if value._multiprocess:
            if self.amount is None:
                self.amount = value.get()
            value.set(_without_effect(value._params))
            # The client lists such values, and in a child process has each open the child's file anew.
            value.__dict__[_OPEN_ANEW] = lambda: None
            _become(value, series, self.at)
            return
        with getattr(value, "_lock", None) or nullcontext():
            self.amount, self.exemplar = value._value, value._exemplar
            _become(value, series, self.at)


def _become(value: Any, series: Located, at: int) -> None:
    value.__dict__.update(_series=series, _at=at)
    value.__class__ = Value


def _without_effect(parameters: tuple[Any, ...]) -> float:
    """What a value leaves in its file, where nothing can be deleted: it has no part in a merge of files."""
    kind, mode = parameters[0], str(parameters[-1]).removeprefix("live")
    return 0.0 if kind != "gauge" else _EFFECTLESS.get(mode, nan)
