"""An attribute set of a metric, resolved once, with OpenTelemetry's methods and `prometheus_client`'s.

A handle may be made before the metric has an instrument; the metric resets it when it gets one.
"""

from __future__ import annotations

import time as clock
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from otel_obs.catalog.kit.early import hold_early
from otel_obs.catalog.kit.functions import ask
from otel_obs.sdk.context_managers import ExceptionCounting, InProgress, Timing
from otel_obs.sdk.timing import Timer

RecordMethod = Callable[..., None]
ResolveLabels = Callable[..., "RecordMethod | None"]


class RecordsToHandle(Protocol):
    """A recording method of a handle: the attributes are bound, only the amount is given."""

    def __call__(self, amount: float = 1) -> object:
        """Record *amount*."""


class MetricHandle(ABC):
    """The base of the handles of all kinds.

    Args:
        resolve: Returns the function that records an amount to these attributes, 1 by default, or another
            method of the instrument's handle by its name; None before there is an instrument.
        attributes: By declared names.
    """

    __slots__ = ("__weakref__", "_record", "_resolve", "attributes")

    def __init__(self, resolve: ResolveLabels, attributes: dict[str, Any]) -> None:
        self._resolve = resolve
        self.attributes = attributes
        self.reset()

    def reset(self) -> None:
        """Resolve again, now or, where there is no instrument yet, at the next use."""
        self._record = self._resolve(self.attributes)
        self._delegate(self._record or self._late)

    def _late(self, amount: float = 1) -> None:
        """Record through a method that a caller kept from before there was an instrument."""
        if self._record is not None:
            self._record(amount)
        else:
            hold_early(partial(self._late, amount))

    def _do(self, verb: str, amount: float) -> None:
        """Call the method *verb* of the instrument's handle; do nothing before there is an instrument."""
        way = self._resolve(self.attributes, verb)
        if way is not None:
            way(amount)

    @abstractmethod
    def _delegate(self, record: RecordMethod) -> None:
        """Set the recording methods of this kind to *record*."""


class LevelHandle(MetricHandle):
    """A value that goes up and down, with the methods of `prometheus_client`'s gauges."""

    __slots__ = ("_function", "_ways")

    _function: Callable[[], float] | None
    _ways: dict[str, RecordMethod]

    def reset(self) -> None:
        """Resolve again, now or at the next use."""
        self._ways = {}
        if not hasattr(self, "_function"):
            self._function = None
        super().reset()

    def inc(self, amount: float = 1) -> None:
        """Add to the value of this worker."""
        self._move("inc", amount)

    def dec(self, amount: float = 1) -> None:
        """Subtract from the value of this worker."""
        self._move("inc", -amount)

    def _move(self, verb: str, amount: float) -> None:
        if self._function is not None:
            return
        way = self._ways.get(verb) or self._resolve(self.attributes, verb)
        if way is not None:
            self._ways[verb] = way
            way(amount)
        else:
            hold_early(partial(self._move, verb, amount))

    def set_to_current_time(self) -> None:
        """Set the Unix time, in seconds."""
        self._move("set", clock.time())

    def track_inprogress(self) -> InProgress:
        """Add one while a block or a call runs, in a `with` or as a decorator."""
        return InProgress(self)

    def time(self) -> Timing:
        """Set the seconds of a block or a call, in a `with` or as a decorator."""
        return Timing(lambda seconds: self._move("set", seconds))

    def set_function(self, f: Callable[[], float]) -> None:
        """Take the value from *f*, which each worker calls for itself; all other methods do nothing then.

        If *f* raises, that is logged once, and the value stays what it was.
        """
        self._function = f
        self._delegate(_do_nothing)
        ask(self._name(), self)

    def compute(self) -> None:
        """Call the function that gives the value."""
        if self._function is not None:
            self._do("set", float(self._function()))

    def hide(self) -> None:
        """Have no value until the function returns."""
        self._do("hide", 0)

    def _name(self) -> str:
        return str(getattr(getattr(self._resolve, "__self__", None), "name", type(self).__name__))


def _do_nothing(*_: Any, **__: Any) -> None:
    """Record nothing, since a function gives the value."""


class CounterHandle(MetricHandle):
    """A counter's attribute set; `inc` is `add`."""

    __slots__ = ("add", "inc")

    add: RecordsToHandle
    inc: RecordsToHandle

    def count_exceptions(
        self, exception: type[BaseException] | tuple[type[BaseException], ...] = Exception
    ) -> ExceptionCounting:
        """Count what is raised, in a `with` or as a decorator."""
        return ExceptionCounting(lambda: self.inc(), exception)

    def _delegate(self, record: RecordMethod) -> None:
        self.add = self.inc = record


class UpDownCounterHandle(LevelHandle):
    """An updowncounter's attribute set; `inc` is `add`, and `set` sets this worker's part of the sum."""

    __slots__ = ("add",)

    add: RecordsToHandle

    def inc(self, amount: float = 1) -> None:
        """Add to this worker's part."""
        self.add(amount)

    def dec(self, amount: float = 1) -> None:
        """Subtract from this worker's part."""
        self.add(-amount)

    def set(self, amount: float) -> None:
        """Set this worker's part."""
        self._move("set", amount)

    def _delegate(self, record: RecordMethod) -> None:
        self.add = _do_nothing if self._function is not None else record


class HistogramHandle(MetricHandle):
    """A histogram's attribute set; `observe` is `record`."""

    __slots__ = ("observe", "record")

    record: RecordsToHandle
    observe: RecordsToHandle

    def time(self) -> Timer:
        """Time a block, in a `with` or an `async with`."""
        return Timer(self)

    def _delegate(self, record: RecordMethod) -> None:
        self.record = self.observe = record


class GaugeHandle(LevelHandle):
    """A gauge's attribute set."""

    __slots__ = ("set",)

    set: RecordsToHandle

    def _delegate(self, record: RecordMethod) -> None:
        self.set = _do_nothing if self._function is not None else record
