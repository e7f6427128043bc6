"""The base of all kinds of metrics: series by labels, their removal, and how they are collected."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from prometheus_client import metrics as their_metrics
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from otel_obs.cells.attributes import canonical
from otel_obs.cells.layout import Kind, Stream
from otel_obs.cells.snapshot import Column, SeriesTable
from otel_obs.exposition.names import UNITS, unit_word
from otel_obs.host import gil
from otel_obs.prometheus import _families
from otel_obs.prometheus._arriving import Arriving
from otel_obs.prometheus._binding import ClientDeclaration, Definition, SdkInstrument
from otel_obs.prometheus._borrowed_names import named_as
from otel_obs.prometheus._inventory import define
from otel_obs.prometheus._labels import LabelledMetric
from otel_obs.prometheus._value import merged
from otel_obs.sdk.free_threading import step_out

T = TypeVar("T", bound="RecordedMetric")

OVERFLOW = "otel.metric.overflow"
_UCUM = {word: unit for unit, word in reversed(UNITS.items()) if word}


class RecordedMetric(Arriving):
    """A metric whose series lie in cells; its classes also derive from those of `prometheus_client`.

    It is a series itself, or has one for each set of labels, of the same class. A series exists, at 0, as
    soon as it is named; or from the first record on, if this process has recorded nothing yet.
    """

    _makes_samples: ClassVar[bool] = False
    """Whether an application's subclass makes its own samples out of the numbers."""
    _made_of: ClassVar[Any] = None
    """The class that the application has called to make the metric."""
    _definition: Definition
    _created: float
    _is_removed = False
    _is_displaced = False
    """Whether another metric of the name has replaced it: it is then collected from cells of its own."""
    _others: Any = None
    """The overflow series, shared by label sets beyond the limit."""
    _first: ClassVar[float] = 0.0
    """The initial value of a series whose instrument is a gauge."""

    # Where the cells are: the same attributes as those of `otel_obs.sdk.bound.Bound`, whose place the metric
    # takes in the instrument.
    attributes: dict[str, Any]
    _cells: Any = None
    _offset = -1
    _bounds: tuple[float, ...] = ()
    _has_extremes = False

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Raise the error that `prometheus_client`'s metrics raise, since they hold a lock."""
        if type(self).__reduce__ is not object.__reduce__:
            return super().__reduce_ex__(protocol)
        raise TypeError("cannot pickle '_thread.lock' object")

    def __copy__(self) -> Any:
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def _begin(self, registry: str) -> None:
        """Declare the metric to OpenTelemetry, after `prometheus_client`'s constructor has checked it.

        Args:
            registry: The name by which every worker knows the metric's registry.
        """
        self._begin_labels()
        self._set_definition(registry)
        self._take_place()

    def _take_place(self) -> None:
        define(self._definition, self)

    def _set_definition(self, registry: str) -> None:
        definition = Definition(self._declare(), self, registry)
        # Of every series too: `make_series` uses the definition of the series, not that of the metric.
        for series in (self, *self._each()):
            series._definition = definition

    def _metric_init(self) -> None:
        """Initialise a series at 0; restart one that has cells already."""
        if self._cells is not None:
            self._restart()
            return
        self.attributes = dict(zip(self._labelnames, self._labelvalues, strict=True))
        self._created = time.time()
        if self._is_displaced:
            self._bounds = self._definition.bounds
            self._cells, self._offset, self._is_removed = self._definition.blank(), 0, True

    def number(self, at: int) -> float:
        """One of the numbers of this process."""
        cells, offset = self.locate()
        value: float = cells[offset + at]
        return value

    def set_number(self, at: int, value: float) -> None:
        """Change one of the numbers of this process."""
        with gil.alone():
            cells, offset = self.locate()
            cells[offset + at] = value

    def add_number(self, at: int, amount: float) -> None:
        """Add to one of the numbers of this process."""
        value = float(amount)
        with gil.alone():
            cells, offset = self.locate()
            cells[offset + at] += value

    def keep(self, exemplar: Any) -> None:
        """Keep an exemplar of `prometheus_client`'s."""
        self._definition.keep_exemplar(self, float(exemplar.value), exemplar.labels)

    def leave(self) -> None:
        """Record to cells of its own from now on: another metric of the name has replaced it."""
        for series in self._each():
            series.retire()
            series._is_displaced = True
        self._is_displaced = True

    def _be_there(self) -> None:
        if self._definition.is_open:
            self.make_series()

    def _is_full(self) -> bool:
        return len(self._metrics) >= self._definition.limit - 1

    def _overflow(self: T) -> T:
        self._definition.note_overflow()
        if self._others is None:
            self._others = self._child((OVERFLOW,) * len(self._labelnames))
            self._others.attributes = {OVERFLOW: True}
        others: T = self._others
        return others

    @abstractmethod
    def _declare(self) -> ClientDeclaration:
        """The instrument to declare."""

    def _declaration(self, kind: type[SdkInstrument], name: str, **options: Any) -> ClientDeclaration:
        unit: str = self._unit or ""
        ucum = _UCUM.get(unit, unit)
        # A word that UCUM reads as another unit goes in braces, where UCUM has annotations.
        ucum = ucum if unit_word(ucum) == unit else f"{{{unit}}}"
        return ClientDeclaration(kind, str(self._type), name, ucum, self._documentation, **options)

    def _be_series(self) -> None:
        self._raise_if_not_observable()  # type: ignore[no-untyped-call]

    def _is_parent(self) -> bool:
        return bool(self._labelnames) and not self._labelvalues

    def _record(self, value: float) -> None:
        """Record what the fast path could not."""
        value = float(value)
        if self._cells is None:
            self._make_for(value)
        if self._is_removed:
            self._definition.apply(self._cells, value)
        else:
            self._definition.instrument.store(self, value)

    def _make_for(self, value: float) -> None:
        """Make the series for its first value."""
        self.make_series()

    def handles(self) -> Iterator[Any]:
        """Every object that holds cells and an offset."""
        for series in self._each():
            yield from series._own_handles()

    def _own_handles(self: T) -> Iterator[Any]:
        yield self

    def _each(self: T) -> list[T]:
        """The metric itself, or every one of its series."""
        if not self._is_parent():
            return [self]
        others = [] if self._others is None else [self._others]
        return [*list(self._metrics.values()), *others]

    def detach(self) -> None:
        """Look the cells up again at the next use: after a fork, or on another provider."""
        if not self._is_removed:
            self._cells = None
            self._created = time.time()

    def make_series(self) -> None:
        """Make this process's series, and store where their cells are."""
        self._definition.open()
        for series in self._each():
            if series._is_there():
                for handle in series._own_handles():
                    series._definition.instrument.make(handle, handle._first, series._created)

    def _is_there(self) -> bool:
        """Whether there is a series from the start."""
        return not self._is_removed

    def retire(self) -> None:
        """Remove the series. Code that still holds it records to a copy of the cells, which is never read."""
        if self._is_removed:
            return
        copy = self._definition.blank()
        with gil.alone():
            known, offset = self._cells, self._offset
            if known is not None and self._bounds == self._definition.bounds:
                copy[:] = known[offset : offset + len(copy)]
            # In this order: a thread that records meanwhile must not combine the old cells with the new
            # offset. With `_cells` None, it takes the slow path.
            self._cells = None
            self._is_removed = True
            self._offset, self._bounds = 0, self._definition.bounds
            self._cells = copy
        for handle in self._own_handles():
            self._definition.unmake(handle)

    def clear(self) -> None:
        """Drop every series with labels: this worker's, or every worker's of a "mostrecent" gauge."""
        super().clear()
        others, self._others = self._others, None
        if others is not None:
            others.retire()

    def _end(self, labels: Mapping[str, str]) -> None:
        self._definition.end(labels)

    def _restart(self) -> None:
        self._created = time.time()
        if self._is_removed:
            self._cells[:] = self._definition.blank()
        else:
            self._definition.restart(self, self._created)

    def locate(self) -> tuple[Any, int]:
        """The cells of this process's values, and their offset."""
        if self._cells is None:
            self.make_series()
        cells, offset, bounds = self._cells, self._offset, self._bounds
        is_own = cells is not None and bounds == self._definition.bounds
        return (cells, offset) if is_own else self._definition.locate(self)

    def has_own_cells(self) -> bool:
        return self._cells is not None and self._bounds == self._definition.bounds

    def streams(self) -> list[Stream]:
        """The exported streams; none if an old version's constructor has registered the metric and failed."""
        return self._definition.streams() if "_definition" in self.__dict__ else []

    def _own_streams(self) -> list[Stream]:
        """Those whose numbers are as declared: the application's class would misread others, of a view."""
        return [each for each in self.streams() if self._definition.has_own_cells(each)]

    def collect(self) -> Iterable[Metric]:
        """The family, merged over workers; of a series of a metric, its samples without its labels."""
        if self._makes_samples and (self._is_displaced or self._own_streams()):
            return self._own_samples()
        families = self._families()
        labels = dict(zip(self._labelnames, self._labelvalues, strict=False))
        return _families.only_of(labels, families) if labels else families

    def _families(self) -> Iterable[Metric]:
        """The family, merged over workers, with all series."""
        columns = {} if self._is_displaced else _families.read()
        has_created = their_metrics._use_created
        family: Metric = self._get_metric()  # type: ignore[no-untyped-call]
        others: list[Metric] = []
        for stream in self._collected_streams():
            column = columns.get(stream)
            if column is None and stream.kind is Kind.EXPONENTIAL:
                continue  # of a view, and nothing is recorded to it yet
            column = column or self._own_column(stream)
            column = _families.without_worker(column)
            if self._is_as_declared(stream):
                _families.add_samples(family, column, has_created, self._labelnames)
            else:
                others += _families.families_of(column, has_created)
        return others or [family]

    def _collected_streams(self) -> list[Stream]:
        return [self._definition.plain_stream()] if self._is_displaced else self.streams()

    def _own_samples(self) -> Iterable[Metric]:
        """The samples that the application's class makes of the numbers, merged over all workers."""
        columns = {} if self._is_displaced else _families.read()
        over_workers = _families.SeriesNumbers(
            [columns[each] for each in self._own_streams() if each in columns]
        )
        if self._is_parent() and self._type != "gauge":
            # The class iterates over the series of this process: add those that only other workers have. Not
            # for a gauge: a new series at 0 would take part in the merge.
            for attributes in over_workers.attributes():
                if attributes.keys() == set(self._labelnames):
                    self.labels(**attributes)
        token = merged.set(over_workers.number)
        try:
            return list(their_metrics.MetricWrapperBase.collect(self))
        finally:
            merged.reset(token)

    def _as_named(self, families: Iterable[Metric]) -> list[Metric]:
        """Sort the samples of this worker's series first, in the order in which they were named."""
        places = {each._labelvalues: place for place, each in enumerate(self._each())}

        def place(sample: Sample) -> int:
            values = tuple(sample.labels.get(name, "") for name in self._labelnames)
            return places.get(values, len(places))

        sorted_families = list(families)
        for family in sorted_families:
            family.samples.sort(key=place)
        return sorted_families

    def _is_as_declared(self, stream: Stream) -> bool:
        declared = self._definition.declaration
        return stream.name == declared.name and stream.kind is declared.kind._kind

    def _own_column(self, stream: Stream) -> Column:
        """This process's series, if the snapshot has none: before the first record, or when displaced."""
        found = [
            (handle, series)
            for series in self._each()
            if series._is_there() or self._is_displaced
            for handle in series._own_handles()
        ]
        table = SeriesTable(
            stream,
            [canonical(handle.attributes) for handle, _ in found],
            [series._created for _, series in found],
        )
        return Column(table, [_families.own_value(handle, stream) for handle, _ in found], {})


for _kind in (LabelledMetric, RecordedMetric):
    named_as(_kind, their_metrics.MetricWrapperBase)
if not gil.IS_ON:
    step_out(RecordedMetric, "_record", "make_series")
