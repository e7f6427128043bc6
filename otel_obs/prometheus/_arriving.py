"""How a metric keeps its numbers when it begins to record to shared cells.

Until then they were in values of `prometheus_client`, or in cells of the metric's own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from otel_obs.cells.layout import Kind
from otel_obs.prometheus._binding import Definition
from otel_obs.prometheus._labels import LabelledMetric
from otel_obs.prometheus._value import hand_over


class Arriving(LabelledMetric):
    """A metric that begins with numbers it has counted before, or one of its series."""

    _definition: Definition
    _created: float
    _is_removed: bool
    _is_displaced: bool
    _cells: Any

    @abstractmethod
    def _begin(self, registry: str) -> None:
        """Declare the metric to OpenTelemetry."""

    @abstractmethod
    def _set_definition(self, registry: str) -> None:
        """Give the metric and each of its series a new definition, in the registry of that name."""

    @abstractmethod
    def _take_place(self) -> None:
        """Enter the metric in the inventory, under its name and its registry's."""

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
        """Remove the values of `prometheus_client` from this metric and return them, for `take_up`."""

    def take_up(self, numbers: list[Any]) -> None:
        """Add what `take_numbers` returned to the cells."""
        for value, at in numbers:
            amount, exemplar = hand_over(value, self, at)
            if amount:
                self.add_number(at, amount)
            if exemplar is not None:
                self.keep(exemplar)

    def move_in(self, registry: str, children: Mapping[tuple[str, ...], Any]) -> None:
        """Record to cells, beginning with what the metric and its series have counted so far.

        Args:
            registry: The name by which every worker knows the metric's registry.
            children: The series, still of `prometheus_client`'s class, by the values of their labels.
        """
        if self._is_parent():  # type: ignore[no-untyped-call]
            self._metrics = {}
            self._begin(registry)
            # Each assignment turns the child into a series of this metric: `SeriesByLabels.__setitem__`.
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
        """Record to shared cells again, after another metric of the name has left the registry.

        What this process has counted in between, in cells of the metric's own, is added.
        """
        kept = [(series, series._cells) for series in self._each() if not series._is_parent()]
        # First: a series that another thread makes from now on takes its definition from the metric.
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
