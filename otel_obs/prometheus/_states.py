"""`Info` and `Enum`: OpenTelemetry gauges whose labels hold the facts or the state."""

from __future__ import annotations

import sys
from _thread import RLock
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import prometheus_client
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from otel_obs.host import forks
from otel_obs.prometheus._binding import ClientDeclaration
from otel_obs.prometheus._borrowed_names import named_as
from otel_obs.prometheus._metric import RecordedMetric
from otel_obs.sdk.instruments import Gauge


class _State:
    """One of the series in cells that are a single series to `prometheus_client`: a state of an `Enum`."""

    __slots__ = ("_bounds", "_cells", "_first", "_has_extremes", "_offset", "attributes")

    def __init__(self, attributes: dict[str, Any], first: float) -> None:
        self.attributes = attributes
        self._first = first
        self._cells: Any = None
        self._offset = -1
        self._bounds: tuple[float, ...] = ()
        self._has_extremes = False

    def detach(self) -> None:
        """Look the cells up again at the next use."""
        self._cells = None


class _StatedMetric(RecordedMetric):
    """A metric whose value is stated, not counted."""

    def _is_seen(self) -> bool:
        """Whether a statement is written to the shared cells at once; if not, with the first record.

        The first process of a service states facts while it imports the application, but it may be a master
        that never records: it must not become a worker by that.
        """
        return self._definition.is_open or _ProcessStates.is_worker or _is_spawned()


class _ProcessStates:
    is_worker = False
    """Whether this process was forked from one that had imported this module."""


def _is_spawned() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _after_fork_in_child() -> None:
    _ProcessStates.is_worker = True


forks.after_in_child(_after_fork_in_child)


class RecordedInfo(_StatedMetric, prometheus_client.Info):
    """Facts, as labels of a series that is always 1.

    Over several workers there is a series for each set of facts that one of them states. Before any worker
    has stated facts, there is one without.
    """

    _first = 1.0

    def _metric_init(self) -> None:
        super()._metric_init()
        self._lock = RLock()
        self._facts: dict[str, str] | None = None

    def info(self, val: dict[str, str]) -> None:
        """Replace the stated facts.

        Raises:
            ValueError: One is a label of the metric, or None.
        """
        self._be_series()
        if not val.keys().isdisjoint(self._labelnames):
            raise ValueError(f"Overlapping labels for Info metric, metric: {self._labelnames} child: {val}")
        if any(value is None for value in val.values()):
            raise ValueError("Label value cannot be None")
        self._state(val)

    def _state(self, facts: Mapping[str, str]) -> None:
        labels = dict(zip(self._labelnames, self._labelvalues, strict=True))
        with self._lock:
            if self._facts == facts:
                return
            if not self._is_removed and self._facts is not None:
                self._definition.unmake(self)
            # Other facts are other labels, so another series: its cells are looked up anew. A removed one
            # keeps its private cells.
            self._cells = None if not self._is_removed else self._cells
            self._facts = dict(facts)
            self.attributes = {**labels, **facts}
            if not self._is_removed and self._is_seen():
                self.make_series()

    def _is_there(self) -> bool:
        """Whether there is a series: only once this worker has stated facts."""
        return self._facts is not None and super()._is_there()

    def _families(self) -> list[Metric]:
        """The family, merged over workers; this worker's series come first, in the order of their naming."""
        families = list(super()._families())
        places = {frozenset(each.attributes.items()): place for place, each in enumerate(self._each())}
        for family in families:
            self._add_unstated(family)
            family.samples.sort(key=lambda sample: places.get(frozenset(sample.labels.items()), len(places)))
        return families

    def _add_unstated(self, family: Metric) -> None:
        """Add a series without facts where no worker has stated any, as `prometheus_client` does."""
        stated = [sample.labels for sample in family.samples]
        for series in self._each():
            labels = series.attributes
            if series._facts is None and not any(labels.items() <= each.items() for each in stated):
                family.samples.append(Sample(f"{family.name}_info", dict(labels), 1.0))

    def detach(self) -> None:
        """Find the cells again at the next use, and have a new lock, since its holder may not be here."""
        super().detach()
        self._lock = RLock()

    if not TYPE_CHECKING:  # an attribute there

        @property
        def _value(self) -> dict[str, str]:
            return dict(self._facts or {})

        @_value.setter
        def _value(self, facts: Mapping[str, str]) -> None:
            if "_definition" in self.__dict__:
                self._state(facts)

    def take_numbers(self) -> list[Any]:
        facts = self.__dict__.get("_value")
        return [facts] if facts else []

    def take_up(self, numbers: list[Any]) -> None:
        for facts in numbers:
            self._state(facts)
            if self._cells is None and not self._is_removed and self._is_seen():
                self.make_series()  # an exception has interrupted this when the facts were stated already

    def _declare(self) -> ClientDeclaration:
        return self._declaration(Gauge, f"{self._name}_info", merge="max")


class RecordedEnum(_StatedMetric, prometheus_client.Enum):
    """Which of several states holds; over several workers, each state that any of them is in."""

    _states: Any

    def _metric_init(self) -> None:
        super()._metric_init()
        self._lock = RLock()
        self._handles: list[_State] = []

    def _own_handles(self) -> Iterator[Any]:
        if not self._handles:
            self._handles = [
                _State({**self.attributes, self._name: state}, float(at == 0))
                for at, state in enumerate(self._states)
            ]
        yield from self._handles

    def state(self, state: str) -> None:
        """Be in *state*.

        Raises:
            ValueError: It is no state of the metric, or the metric has labels and this is none of its series.
        """
        self._be_series()
        self._be_in(self._states.index(state))

    def _be_in(self, chosen: int) -> None:
        with self._lock:
            handles = list(self._own_handles())
            # The new state first: a reader in between sees two states, never none.
            for handle in sorted(handles, key=lambda handle: handle is not handles[chosen]):
                handle._first = float(handle is handles[chosen])
                if not self._is_removed and self._is_seen():
                    self._definition.store(handle, handle._first)

    def detach(self) -> None:
        """Find the cells again at the next use, and have a new lock, since its holder may not be here."""
        super().detach()
        self._lock = RLock()

    if not TYPE_CHECKING:  # an attribute there

        @property
        def _value(self) -> int:
            return next((at for at, each in enumerate(self._own_handles()) if each._first), 0)

        @_value.setter
        def _value(self, chosen: int) -> None:
            if "_definition" in self.__dict__:
                self._be_in(chosen)

    def take_numbers(self) -> list[Any]:
        return [self.__dict__.get("_value", 0)]

    def take_up(self, numbers: list[Any]) -> None:
        for chosen in numbers:
            if chosen:
                self._be_in(chosen)

    def _declare(self) -> ClientDeclaration:
        return self._declaration(Gauge, self._name, merge="max")


named_as(RecordedInfo, prometheus_client.Info)
named_as(RecordedEnum, prometheus_client.Enum)
