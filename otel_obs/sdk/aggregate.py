"""One stream of one instrument in this process: its series, and how a measurement changes their cells."""

from __future__ import annotations

import logging
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from otel_obs.cells import exponential
from otel_obs.cells.attributes import (
    LONGEST,
    OVERFLOW,
    canonical,
    decode_attributes,
    encode_attributes,
    has_too_long,
)
from otel_obs.cells.gauge_rules import worker_label_of
from otel_obs.cells.layout import Kind, Stream
from otel_obs.cells.removals import Removal, can_end
from otel_obs.cells.store import Store, StoreFullError
from otel_obs.cells.worker import Worker

_logger = logging.getLogger("otel_obs")


Translate = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class AggregationPlan(NamedTuple):
    """How one instrument is aggregated into one stream.

    Attributes:
        stream: What is declared to the other workers.
        keys: The attributes that are kept; None keeps all.
        translate: Turns the given attributes into those of the series; may refuse them by raising.
        limit: The most series that the stream may have, the overflow series included.
        has_extremes: Whether a histogram keeps its minimum and maximum.
        is_watched: Whether every measurement has to take the slow path, which counts it in `updates`.
        reader: The only reader that sees the stream; None for all.
        is_default: Whether a reader that prefers another aggregation sees that one instead.
        view: The SDK's view that asked for it, if any.
    """

    stream: Stream
    keys: frozenset[str] | None = None
    translate: Translate | None = None
    limit: int = 2000
    has_extremes: bool = False
    is_watched: bool = False
    reader: object = None
    is_default: bool = False
    view: Any = None

    @property
    def counts_up(self) -> bool:
        """Whether every measurement changes the cells, so that a delta reader sees it by comparing them."""
        return self.stream.kind in (Kind.COUNTER, Kind.HISTOGRAM, Kind.EXPONENTIAL)


class AggregateSeries:
    """One attribute set: its identity, and where its cells are. Kept small, as there may be very many."""

    __slots__ = (
        "cells",
        "created_ns",
        "exemplars_at",
        "extremes",
        "is_shared",
        "key",
        "offset",
        "reservoirs",
        "updates",
    )

    def __init__(self, key: bytes, created_ns: int) -> None:
        self.key = key
        self.created_ns = created_ns
        self.cells: Any = None
        self.offset = 0
        self.is_shared = True
        self.exemplars_at = -1
        self.updates = 0
        self.reservoirs: dict[Any, Any] | None = None
        self.extremes: dict[Any, tuple[float, float]] | None = None

    @property
    def attributes(self) -> dict[str, Any]:
        """The exported attributes."""
        return dict(decode_attributes(self.key))


class Aggregator:
    """The series of one stream. Every method that changes something runs in `Worker.exclusively`."""

    def __init__(self, worker: Worker, plan: AggregationPlan) -> None:
        self.plan = plan
        self.stream = plan.stream
        self.series: dict[bytes, AggregateSeries] = {}
        self._by_offset: dict[int, AggregateSeries] = {}
        self.worker = worker
        self._apply = _APPLY[plan.stream.kind]
        self.has_exemplars = plan.stream.exemplar_slots > 0
        self._has_said_cut = False
        self._worker_key = worker_label_of(plan.stream.merge)

    def identify(self, attributes: Mapping[str, Any] | None) -> bytes:
        """The identity of the series that *attributes* belong to."""
        kept = attributes or {}
        keys, translate = self.plan.keys, self.plan.translate
        if translate is not None:
            kept = translate(kept)
        if keys is not None:
            kept = {key: value for key, value in kept.items() if key in keys}
        if self._worker_key:
            kept = {**kept, self._worker_key: str(os.getpid())}
        if not self._has_said_cut and has_too_long(kept):
            self._has_said_cut = True
            _logger.warning(
                "%r got an attribute of more than %d characters; its beginning is kept, here and further on",
                self.stream.name,
                LONGEST,
            )
        return encode_attributes(canonical(kept))

    def own_attributes(self, series: AggregateSeries) -> dict[str, Any]:
        """The attributes of *series* without the worker's label: in a push, the resource names the worker."""
        attributes = series.attributes
        attributes.pop(self._worker_key, None)
        return attributes

    def find(self, key: bytes, first: float = 0.0, created_s: float | None = None) -> AggregateSeries:
        """The series of an identity, made if it is new, or the overflow series if there are too many.

        Args:
            key: The identity.
            first: The initial value of a new gauge, so that no reader ever sees it without one.
            created_s: Since when a new series counts, in Unix seconds, if it is made without a measurement;
                a gauge then has no set time, and never counts as the latest.
        """
        series = self.series.get(key)
        if series is not None:
            return series
        if key != OVERFLOW and not self._has_room(key):
            return self.find(OVERFLOW, first)
        series = self.series[key] = self._new(key, first, created_s)
        return series

    def _has_room(self, key: bytes) -> bool:
        """Whether the stream may have another series, in this process and in the whole service."""
        limit = self.plan.limit
        self.worker.store()  # opening it counts the series that dead workers have left
        return len(self.series) < limit - 1 and self.worker.admission.admits(
            self.stream, key, limit, self.series
        )

    def _new(self, key: bytes, first: float, created_s: float | None) -> AggregateSeries:
        now_ns = time.time_ns()
        set_s = time.monotonic() if created_s is None else 0.0
        if created_s is None:
            created_s = now_ns / 1e9
        series = AggregateSeries(key, min(now_ns, int(created_s * 1e9)))
        store = self.worker.store()
        initial = (first, set_s) if self.stream.kind is Kind.GAUGE else ()
        if self.plan.reader is None:
            try:
                series.offset = store.add_series(self.stream, key, created_s, initial, self.plan.limit)
                series.cells = store.cells
                return series
            except StoreFullError as error:
                spare = self.worker.spare(str(error))
                series.is_shared = False
                series.offset = spare.add_series(self.stream, key, created_s, initial, self.plan.limit)
                series.cells = spare.cells
                return series
        # A stream for one reader of this process: private cells, which no other worker sees.
        series.is_shared = False
        series.cells = memoryview(bytearray(8 * self.stream.cells)).cast("d")
        for position, value in enumerate(initial or self.stream.initial_cells):
            series.cells[position] = value
        return series

    def apply(self, series: AggregateSeries, value: float) -> None:
        """Add one measurement to a series."""
        series.updates += 1
        self._apply(self.plan, series.cells, series.offset, value)

    def store(self, cells: Any, offset: int, value: float) -> None:
        """Add one measurement to the series at *offset*."""
        self._apply(self.plan, cells, offset, value)

    def at(self, offset: int) -> AggregateSeries | None:
        """The series whose cells begin at *offset*. The table is rebuilt when it misses a series."""
        series = self._by_offset.get(offset)
        if series is None or self.series.get(series.key) is not series:
            self._by_offset = {each.offset: each for each in list(self.series.values()) if each.is_shared}
            series = self._by_offset.get(offset)
        return series

    def keep_exemplar(self, series: AggregateSeries, value: float, packed: bytes) -> None:
        """Write a packed measurement as the latest exemplar of its bucket, which every worker can read."""
        if not series.is_shared or not self.has_exemplars:
            return
        store = self.worker.store()
        if series.exemplars_at < 0:
            try:
                series.exemplars_at = store.add_exemplars(self.stream, series.offset)
            except StoreFullError:
                return
        store.write_exemplar(series.exemplars_at, self.slot(value), packed)

    def slot(self, value: float) -> int:
        """The exemplar slot of a measurement, which is the number of its bucket."""
        if self.stream.kind is Kind.HISTOGRAM:
            return bisect_left(self.stream.bounds, value)
        if self.stream.kind is Kind.EXPONENTIAL and value:
            return exponential.index_of(abs(value), 0) % self.stream.exemplar_slots
        return 0

    def remove(self, key: bytes) -> AggregateSeries | None:
        """Remove a series. Its handles are detached by the caller."""
        series = self.series.pop(key, None)
        store = self._store_of(series) if series is not None else None
        if series is not None and store is not None:
            store.remove_series(self.stream, series.offset)
        return series

    def end(self, attributes: bytes, at_s: float) -> None:
        """Remove every worker's series with at least these attributes, if last set before *at_s* (monotonic).

        Raises:
            StoreFullError: There is no room for the record.
        """
        if can_end(self.stream) and self.plan.reader is None:
            self.worker.store().note_ended(Removal(self.stream, attributes, at_s))

    def matching(self, attributes: bytes) -> list[bytes]:
        """The identities of the series that have at least these attributes."""
        wanted = _pairs(attributes)
        return [key for key in self.series if all(pair in key for pair in wanted) and wanted <= _pairs(key)]

    def _store_of(self, series: AggregateSeries) -> Store | None:
        """The store that a series is in; None if its cells are private, or in a spare store that is gone."""
        if series.is_shared:
            return self.worker.store()
        spare = self.worker.spare_opened
        return spare if spare is not None and series.cells is spare.cells else None

    def restart(self, key: bytes, created_s: float) -> None:
        """Restart a series at its initial values, in the same cells."""
        series = self.series.get(key)
        if series is None:
            return
        series.created_ns = int(created_s * 1e9)
        store = self._store_of(series)
        if store is not None:
            store.restart_series(self.stream, series.offset, key, created_s)
        else:
            for position, value in enumerate(self.stream.initial_cells):
                series.cells[position] = value

    def adopt(self, former: Aggregator) -> None:
        """Take over the series of *former*, if it has the same stream and reader."""
        if former.stream == self.stream and former.plan.reader is self.plan.reader:
            self.series = former.series

    def relocate(self, old: Store, store: Store, moved: Mapping[int, int]) -> None:
        """Point the series in *old* to their copies in *store*; *moved* maps old offsets to new ones."""
        for series in self.series.values():
            if series.cells is old.cells and series.offset in moved:
                at = moved[series.offset]
                exemplars_at = store.exemplars_at(at)
                # No call in between: what a signal handler raises comes before all of it or after.
                series.offset, series.cells, series.is_shared = at, store.cells, True
                series.exemplars_at = exemplars_at
        self._by_offset.clear()

    def forget(self) -> None:
        """Drop all series without touching any cells: after a fork, those are the parent's."""
        self.series.clear()
        self._by_offset.clear()


def _pairs(attributes: bytes) -> set[bytes]:
    """Each attribute in its encoded form, as it appears within an encoded set."""
    return {encode_attributes((pair,))[1:-1] for pair in decode_attributes(attributes)}


def _apply_sum(plan: AggregationPlan, cells: Any, offset: int, value: float) -> None:
    cells[offset] += value


def _apply_last(plan: AggregationPlan, cells: Any, offset: int, value: float) -> None:
    now_s = time.monotonic()
    cells[offset] = value
    cells[offset + 1] = now_s


def _apply_histogram(plan: AggregationPlan, cells: Any, offset: int, value: float) -> None:
    bounds = plan.stream.bounds
    bucket = offset + bisect_left(bounds, value)
    last = offset + len(bounds)
    cells[bucket] += 1.0
    cells[last + 1] += value
    if plan.has_extremes:
        note_extremes(cells, last + 1, value)


def note_extremes(cells: Any, sum_at: int, value: float) -> None:
    """Keep the minimum and the maximum, which lie behind a histogram's sum."""
    if value < cells[sum_at + 1]:
        cells[sum_at + 1] = value
    if value > cells[sum_at + 2]:
        cells[sum_at + 2] = value


def _apply_exponential(plan: AggregationPlan, cells: Any, offset: int, value: float) -> None:
    if value - value != 0.0:  # not finite: there is no bucket for it
        return
    exponential.record(cells, offset, int(plan.stream.bounds[0]), value)
    if plan.has_extremes:
        note_extremes(cells, offset + plan.stream.cells - 3, value)


_APPLY: dict[Kind, Callable[[AggregationPlan, Any, int, float], None]] = {
    Kind.COUNTER: _apply_sum,
    Kind.UPDOWN: _apply_sum,
    Kind.GAUGE: _apply_last,
    Kind.HISTOGRAM: _apply_histogram,
    Kind.EXPONENTIAL: _apply_exponential,
}


def check_bounds(name: str, bounds: Sequence[float]) -> tuple[float, ...]:
    """Bucket bounds as a tuple of floats.

    Raises:
        ValueError: They are not finite, or not strictly increasing.
    """
    checked = tuple(float(bound) for bound in bounds)
    if any(bound - bound != 0.0 for bound in checked):
        raise ValueError(f"{name!r} has bounds {list(bounds)}; every bound must be finite")
    if any(low >= high for low, high in pairwise(checked)):
        raise ValueError(f"{name!r} has bounds {list(bounds)}; they must be strictly increasing")
    return checked
