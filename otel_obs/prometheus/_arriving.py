"""How a metric takes along what it has counted elsewhere: as one of `prometheus_client`'s, or for itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from otel_obs.cells.layout import Kind
from otel_obs.prometheus._binding import Definition
from otel_obs.prometheus._labels import LabelledMetric
from otel_obs.prometheus._value import hand_over


class Arriving(LabelledMetric):
    """A metric that begins with numbers it has already, or one of its series."""

    _definition: Definition
    _created: float
    _is_removed: bool
    _is_displaced: bool
    _cells: Any

    @abstractmethod
    def _begin(self, registry: str) -> None:
        """Become known to OpenTelemetry."""

    @abstractmethod
    def _set_definition(self, registry: str) -> None:
        """Have the metric and every series of it record by a definition of that registry."""

    @abstractmethod
    def _take_place(self) -> None:
        """Be the metric of the name in its registry."""

    @abstractmethod
    def _each(self) -> list[Any]:
        """The metric itself, or every one of its series."""

    @abstractmethod
    def add_number(self, at: int, amount: float) -> None:
        """Add to one of the numbers of this process."""

    @abstractmethod
    def keep(self, exemplar: Any) -> None:
        """Keep an exemplar of `prometheus_client`'s."""

    @abstractmethod
    def number(self, at: int) -> float:
        """One of the numbers of this process."""

    @abstractmethod
    def set_number(self, at: int, value: float) -> None:
        """Change one of the numbers of this process."""

    @abstractmethod
    def take_numbers(self) -> list[Any]:
        """Take out of this metric what `prometheus_client` has kept in it, for `take_up`."""

    def take_up(self, numbers: list[Any]) -> None:
        """Hold what was taken."""
        for value, at in numbers:
            amount, exemplar = hand_over(value, self, at)
            if amount:
                self.add_number(at, amount)
            if exemplar is not None:
                self.keep(exemplar)

    def move_in(self, registry: str, children: Mapping[tuple[str, ...], Any]) -> None:
        """Begin with what this metric and its series have counted as ones of `prometheus_client`."""
        if self._is_parent():  # type: ignore[no-untyped-call]
            self._metrics = {}
            self._begin(registry)
            for texts, child in children.items():
                self._metrics[texts] = child
        else:
            numbers = self._taken()
            self._begin(registry)
            self.take_up(numbers)

    def _let_in(self, child: Any) -> None:
        if "_definition" in child.__dict__:
            return
        child.__class__ = type(self)
        numbers = child._taken()
        own = ("_is_timed", "_adds_up_unless_set", "_has_chosen_mode", "_definition")
        child.__dict__.update({name: value for name, value in self.__dict__.items() if name in own})
        child._be_there()
        child.take_up(numbers)

    def _taken(self) -> list[Any]:
        created = self.__dict__.get("_created")
        numbers = self.take_numbers()
        self._metric_init()
        self._created = created or self._created
        return numbers

    def begin_again(self, registry: str) -> None:
        """Record for all workers to see again, with what this process has counted meanwhile."""
        kept = [(series, series._cells) for series in self._each() if not series._is_parent()]
        # First, as another thread may make a series as soon as this metric records for all workers again.
        self._set_definition(registry)
        for series in (self, *(each for each, _ in kept)):
            series._is_displaced = series._is_removed = False
            series._cells = None
        self._take_place()
        for series, cells in kept:
            for at in range(self._count_of_numbers()):
                if cells is not None and cells[at]:
                    series.add_number(at, cells[at])

    def _count_of_numbers(self) -> int:
        stream = self._definition.plain_stream()
        return len(stream.bounds) + 2 if stream.kind is Kind.HISTOGRAM else 1
