"""An attribute set of a metric, resolved once, in both manners: `.add(1)` and `.inc()`.

A handle may be made before there is an instrument; it is reset when there is one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

from otel_obs.catalog.early import hold_early
from otel_obs.sdk.timing import Timer

Record = Callable[..., None]


class Handle(ABC):
    """What all kinds have in common.

    Args:
        resolve: Gives the way to record to these attributes, 1 by default; None before there is one.
        attributes: By declared names.
    """

    __slots__ = ("__weakref__", "_record", "_resolve", "attributes")

    def __init__(
        self, resolve: Callable[[dict[str, Any]], Record | None], attributes: dict[str, Any]
    ) -> None:
        self._resolve = resolve
        self.attributes = attributes
        self.reset()

    def reset(self) -> None:
        """Resolve again, now or, where there is no instrument yet, at the next use."""
        self._record = self._resolve(self.attributes)
        self._delegate(self._record or self._late)

    def _late(self, amount: float = 1) -> None:
        """Record, for who has taken this method before there was an instrument."""
        if self._record is not None:
            self._record(amount)
        else:
            hold_early(partial(self._late, amount))

    @abstractmethod
    def _delegate(self, record: Record) -> None:
        """Let the recording methods of this kind be *record*."""


class CounterHandle(Handle):
    """A counter's attribute set; `inc` is `add`."""

    __slots__ = ("add", "inc")

    add: Record
    inc: Record

    def _delegate(self, record: Record) -> None:
        self.add = self.inc = record


class UpDownCounterHandle(Handle):
    """An updowncounter's attribute set; `inc` is `add`."""

    __slots__ = ("add", "inc")

    add: Record
    inc: Record

    def dec(self, amount: float = 1) -> None:
        """Subtract *amount*."""
        self.add(-amount)

    def _delegate(self, record: Record) -> None:
        self.add = self.inc = record


class HistogramHandle(Handle):
    """A histogram's attribute set; `observe` is `record`."""

    __slots__ = ("observe", "record")

    record: Record
    observe: Record

    def time(self) -> Timer:
        """Time a block, in a `with` or an `async with`."""
        return Timer(self)

    def _delegate(self, record: Record) -> None:
        self.record = self.observe = record


class GaugeHandle(Handle):
    """A gauge's attribute set."""

    __slots__ = ("set",)

    set: Record

    def _delegate(self, record: Record) -> None:
        self.set = record
