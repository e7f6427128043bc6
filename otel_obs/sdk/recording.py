"""From a measurement to its cells: one dictionary look-up and one store, or the slow path.

The fast path is correct without a lock under the GIL, because CPython switches threads only at calls
and backward jumps: `cells[offset] += amount`, with *amount* already a plain float, is one step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from otel_obs import compiled
from otel_obs.cells.attributes import canonical, encode_attributes, has_too_long, is_itself
from otel_obs.cells.layout import Kind
from otel_obs.cells.store import Store, StoreFullError
from otel_obs.errors import DeclarationError
from otel_obs.host import gil
from otel_obs.host.signals import raise_interruption
from otel_obs.host.weak import WeakByKey
from otel_obs.sdk.aggregate import AggregateSeries, Aggregator
from otel_obs.sdk.bound import Bound, BoundT
from otel_obs.sdk.current_context import current_context
from otel_obs.sdk.owner import Held, Owner

INF = math.inf
_ALIASES_PER_SERIES = 4


def _hold_none(bound: Bound) -> None:
    """Do nothing: without `labels`, only the user holds a handle."""


class Recorder:
    """What every synchronous instrument has: offsets by attributes, and the slow path for all else.

    `_offsets` maps `(*keys, *values)` to an offset where all values are strings. With other values it
    maps to None, which no cell can be indexed with, and `_typed` tells `1`, `1.0` and `True` apart. The
    compiled table tells them apart itself.
    """

    # Where the compiled paths find them.
    __slots__ = ("__dict__", "__weakref__", "_bounds", "_cells", "_has_extremes", "_offsets")

    name: str
    _kind: Kind
    _allows_negative = False

    def _init_recorder(self, owner: Owner) -> None:
        self._owner = owner
        self._offsets: Any = compiled.new_offsets()
        self._typed: dict[tuple[tuple[Any, ...], tuple[type, ...]], int] = {}
        self._cells: Any = None
        self._bounds: tuple[float, ...] = ()
        self._has_extremes = False
        self._aggregators: list[Aggregator] | None = None
        self._is_plain = False
        self._former: list[Aggregator] = []
        # Weak: a handle lives as long as its user holds it, or there would be one for each past label value.
        self._bound: WeakByKey[bytes, Bound] = WeakByKey()
        self._let_go: Callable[[Bound], object] = _hold_none
        self.bound_elsewhere: Callable[[], Iterable[Bound]] = tuple
        """Returns further handles that hold offsets, but were not made by `bind`."""
        owner.worker.attach(self)

    def aggregators(self) -> list[Aggregator]:
        """The streams of this instrument, found at its first use, when the views are known."""
        while (known := self._aggregators) is None:
            owner = self._owner
            aggregators = owner.aggregators_of(self)
            for aggregator in aggregators:
                for former in self._former:
                    aggregator.adopt(former)
            plans = [aggregator.plan for aggregator in aggregators]
            is_plain = len(plans) == 1 and plans[0].stream.kind is self._kind and not plans[0].is_watched
            # Another thread may have been faster, or the instrument has another owner by now; there is no
            # call in here, so none comes in between.
            with gil.alone():
                if self._aggregators is None and self._owner is owner:
                    if is_plain:
                        self._bounds, self._has_extremes = plans[0].stream.bounds, plans[0].has_extremes
                    self._is_plain = is_plain
                    self._former, self._aggregators = [], aggregators
        return known

    def move_to(self, owner: Owner) -> None:
        """Record to another provider from now on; what was recorded stays with the one before."""
        self._owner, self._aggregators, self._former, self._is_plain = owner, None, [], False
        self._forget_offsets()
        owner.worker.attach(self)
        for bound in self._bounds_held():
            bound.detach()
            owner.worker.attach(bound)

    def recompile(self) -> None:
        """Ask for the streams again, since the readers have changed; what is recorded stays."""
        self._former, self._aggregators = self._aggregators or self._former, None
        self._forget_offsets()
        for bound in (*self._bounds_held(), *self.bound_elsewhere()):
            bound.detach()

    def detach(self) -> None:
        """Drop all series, in a child process: their cells are the parent's."""
        self.pause()
        for aggregator in self._all_aggregators():
            aggregator.forget()

    def pause(self) -> None:
        """Forget all offsets, so that every measurement takes the slow path, under the worker's lock."""
        self._forget_offsets()
        for bound in self.bound_elsewhere():
            bound.detach()

    def relocate(self, old: Store, store: Store, moved: Mapping[int, int]) -> None:
        """Go on in another store of the worker."""
        for aggregator in self._all_aggregators():
            aggregator.relocate(old, store, moved)

    def _all_aggregators(self) -> Iterable[Aggregator]:
        return (*(self._aggregators or ()), *self._former)

    def _forget_offsets(self) -> None:
        with gil.alone():
            self._cells = None
            self._offsets.clear()
            self._typed.clear()

    def _slow(self, amount: Any, attributes: Any, context: Any) -> bool:
        """Record what the fast path cannot: a new series, an odd value, or a measurement with a context.

        Returns:
            Whether it was recorded.
        """
        try:
            self._owner.worker.check_fork()
            value = self._check(amount)
            if value is None:
                return False
            if not self._record_known(value, attributes, context):
                self._record_whole(value, self._mapping(attributes), context)
        except DeclarationError as error:
            self._owner.drop(self.name, "attributes", str(error))
            return False
        except Exception as error:
            raise_interruption(error)
            self._owner.drop(self.name, "error", repr(error))
            return False
        return True

    def _mapping(self, attributes: Any) -> Mapping[str, Any] | None:
        if attributes is None or isinstance(attributes, Mapping):
            return attributes
        self._owner.drop(self.name, "attributes", f"attributes {attributes!r} are not a mapping")
        return None

    def _check(self, amount: Any) -> float | None:
        """The amount as a plain float, or None if it cannot be recorded."""
        try:
            value = float(amount)
        except OverflowError:
            self._owner.drop(self.name, "not_finite", f"{amount!r} is no float")
            return None
        except (TypeError, ValueError) as error:
            raise_interruption(error)
            self._owner.drop(self.name, "not_a_number", f"{amount!r} is not a number")
            return None
        if not math.isfinite(value):
            self._owner.drop(self.name, "not_finite", f"{amount!r} is not finite")
            return None
        if value < 0 and not self._allows_negative:
            self._owner.drop(self.name, "negative", f"{amount!r} is negative")
            return None
        return value

    def _record_known(self, value: float, attributes: Any, context: Any) -> bool:
        """Record to a series that the fast path knows, when its attributes are not all strings or there
        is a context to look at.
        """
        cells = self._cells
        if not value or cells is None:
            return False
        try:
            values = tuple(attributes.values()) if attributes else ()
            key = (*attributes, *values) if attributes else ()
            offset = self._offsets.get(key)
            if offset is None:
                offset = self._typed.get((key, tuple(map(type, values))))
        except (TypeError, AttributeError):
            return False
        if offset is None:
            return False
        self._aggregators_known()[0].store(cells, offset, value)
        if context is not None or current_context():
            self._offer(offset, value, attributes, context)
        return True

    def _offer(self, offset: int | None, value: float, attributes: Any, context: Any = None) -> None:
        """Keep what was just recorded at *offset* as an exemplar, if its context says so."""
        aggregators = self._aggregators
        try:
            if aggregators and offset is not None:
                self._owner.offer_exemplar(aggregators[0], offset, value, attributes, context)
        except Exception as error:
            raise_interruption(error)
            self._owner.drop(self.name, "error", repr(error))

    def _aggregators_known(self) -> list[Aggregator]:
        return self._aggregators or []

    def _record_whole(self, value: float, attributes: Mapping[str, Any] | None, context: Any) -> None:
        """Find or make the series in every stream, record, and store the offset for the fast path."""
        aggregators = self.aggregators()
        while not aggregators and not self._is_held_or_dropped(value, attributes, context):
            aggregators = self.aggregators()
        identities = [aggregator.identify(attributes) for aggregator in aggregators]
        found: list[tuple[Aggregator, AggregateSeries]] = []

        def change() -> None:
            for aggregator, key in zip(aggregators, identities, strict=True):
                series = aggregator.find(key, value)
                aggregator.apply(series, value)
                found.append((aggregator, series))
                if self._is_plain and series.is_shared and series.key == key:
                    self._remember(attributes, series)

        self._owner.worker.exclusively(change)
        for (aggregator, series), key in zip(found, identities, strict=False):
            if series.key != key:
                self._owner.note_overflow(aggregator.stream.name, aggregator.plan.limit)
            self._owner.offer_exemplar(aggregator, series, value, attributes, context)

    def _is_held_or_dropped(self, value: float, attributes: Mapping[str, Any] | None, context: Any) -> bool:
        """Whether a measurement without a stream is held for a later provider, or dropped."""
        owner = self._owner
        copied = dict(attributes) if attributes else None
        return owner.hold(Held(self._slow, value, copied, context)) or owner is self._owner

    def _remember(self, attributes: Mapping[str, Any] | None, series: AggregateSeries) -> None:
        """Let the fast path find *series*; orders of attributes are aliases of one series, and capped."""
        if len(self._offsets) >= _ALIASES_PER_SERIES * self._aggregators_known()[0].plan.limit:
            return
        if attributes and has_too_long(attributes):
            return  # the key of the look-up table would hold the whole text
        values = tuple(attributes.values()) if attributes else ()
        key = (*attributes, *values) if attributes else ()
        if type(self._offsets) is not dict:
            if not self._offsets.learn(key, series.offset):
                return
        elif all(type(each) is str for each in key):
            self._offsets[key] = series.offset
        elif all(type(each) is str for each in attributes or ()) and all(map(is_itself, values)):
            self._typed[key, tuple(map(type, values))] = series.offset
            self._offsets[key] = None
        else:
            return
        self._cells = series.cells

    def drop(self, reason: str, detail: str) -> None:
        """Count a measurement that is refused before it gets here, and log the first of its kind."""
        self._owner.drop(self.name, reason, detail)

    def remove(self, attributes: Mapping[str, Any] | None = None, *, until_s: float | None = None) -> None:
        """Drop the series of *attributes*; what is recorded to it afterwards starts a new one at 0.

        Of a gauge of which the latest value counts, the series is gone in every worker of the service; of
        any other instrument, this worker's part is.

        Args:
            attributes: All attributes of the series.
            until_s: What another worker has set later than that, on the monotonic clock, stays; by default
                the time of the call. With `-math.inf` only this worker's part is gone.
        """
        self._remove(attributes, lambda aggregator, key: [key], until_s)

    def remove_matching(self, attributes: Mapping[str, Any]) -> None:
        """Drop every series that has at least *attributes*, as `remove` drops one."""
        self._remove(attributes, Aggregator.matching, None)

    def _remove(
        self,
        attributes: Mapping[str, Any] | None,
        matching: Callable[[Aggregator, bytes], list[bytes]],
        until_s: float | None,
    ) -> None:
        if attributes is not None and self._mapping(attributes) is None:
            return
        at_s = time.monotonic() if until_s is None else until_s
        for aggregator in self.aggregators():
            given = aggregator.identify(attributes)

            def change(aggregator: Aggregator = aggregator, given: bytes = given) -> None:
                for key in matching(aggregator, given):
                    removed = aggregator.remove(key)
                    if removed is not None:
                        self._unlearn(removed)
                if at_s > -math.inf:
                    aggregator.end(given, at_s)

            try:
                self._owner.worker.exclusively(change)
            except StoreFullError as error:
                self._owner.drop(self.name, "full", f"a series cannot be removed: {error}")

    def _unlearn(self, removed: AggregateSeries) -> None:
        if type(self._offsets) is dict:
            for key in [key for key, offset in list(self._offsets.items()) if offset == removed.offset]:
                del self._offsets[key]
        else:
            self._offsets.forget(removed.offset)
        for typed in [typed for typed, offset in list(self._typed.items()) if offset == removed.offset]:
            del self._typed[typed]
        for bound in self._bounds_held():
            if bound._offset == removed.offset:
                bound.detach()
                self._let_go(bound)

    def _bounds_held(self) -> list[Bound]:
        """The handles in use."""
        return self._bound.living()

    def _bind(self, attributes: Mapping[str, Any] | None, kind: type[BoundT]) -> BoundT:
        """One handle for each attribute set, however often it is asked for."""
        key = encode_attributes(canonical(attributes))
        bound = self._bound.get(key)
        if bound is None:
            bound = self._bound.setdefault(key, kind(self, dict(attributes or {})))
        return bound  # type: ignore[return-value]

    def _teach(self, bound: Bound) -> None:
        """Set the cells and the offset of a handle, if the fast path may write to them."""
        if not self._is_plain:
            return
        aggregator = self.aggregators()[0]
        key = aggregator.identify(bound.attributes)

        def change() -> None:
            series = aggregator.series.get(key)
            if series is not None and series.is_shared:
                bound._offset, bound._bounds = series.offset, self._bounds
                bound._has_extremes = self._has_extremes
                bound._cells = series.cells

        self._owner.worker.exclusively(change)
