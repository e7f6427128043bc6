"""How a metric keeps its numbers when it begins to record to shared cells.

Until then they were in values of `prometheus_client`, or in cells of the metric's own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from otel_obs.cells.layout import Kind
from otel_obs.host import gil
from otel_obs.host.signals import complete
from otel_obs.prometheus._binding import Definition
from otel_obs.prometheus._labels import LabelledMetric
from otel_obs.prometheus._value import HeldNumber

_NUMBERS = ("_value", "_count", "_sum", "_buckets", "_child_samples")
"""Where a metric of `prometheus_client` keeps its numbers."""


class Arrival:
    """What has been done of a series' way to the cells: a signal handler's exception may interrupt it."""

    def __init__(self) -> None:
        self.created_s: float | None = None
        self.numbers: list[Any] | None = None
        self.is_begun = False


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
        """The numbers that this metric has in values of `prometheus_client`, for `take_up`."""

    def take_up(self, numbers: list[Any]) -> None:
        """Add what `take_numbers` returned to the cells; each once, also if called again."""
        for held in numbers:
            held.hand_over(self)
            if held.amount:
                self._add_held(held)
            if held.exemplar is not None:
                self.keep(held.exemplar)

    @abstractmethod
    def has_own_cells(self) -> bool:
        """Whether the fast path's cells are as the metric declares them; a view may give it others."""

    @abstractmethod
    def locate(self) -> tuple[Any, int]:
        """The cells of this process's values, and their offset."""

    def _add_held(self, held: HeldNumber) -> None:
        amount = float(held.amount or 0.0)
        with gil.alone():
            cells, offset = self.locate()
            place = offset + held.at
            # No call between these two: what a signal handler raises comes before both or after both.
            cells[place] += amount
            held.amount = 0.0
        if not self.has_own_cells():
            self._definition.note_left_behind()

    def move_in(self, registry: str, children: Mapping[tuple[str, ...], Any], arrival: Arrival) -> None:
        """Record to cells, beginning with what the metric and its series have counted so far.

        Args:
            registry: The name by which every worker knows the metric's registry.
            children: The series, still of `prometheus_client`'s class, by the values of their labels.
            arrival: What has been done of it already.
        """
        if self._is_parent():  # type: ignore[no-untyped-call]
            if "_series" not in self.__dict__:
                self._metrics = {}
            self._begin_once(registry)
            # Each assignment turns the child into a series of this metric: `SeriesByLabels.__setitem__`.
            for texts, child in children.items():
                self._metrics[texts] = child
        else:
            numbers = self._taken(arrival)
            self._begin_once(registry)
            self.take_up(numbers)

    def _begin_once(self, registry: str) -> None:
        # The definition is stored before the metric takes its place, which it may take twice.
        if "_definition" in self.__dict__:
            self._take_place()
        else:
            self._begin(registry)

    def _let_in(self, child: Any) -> None:
        if "_definition" in child.__dict__:
            return
        arrival = Arrival()
        complete(lambda: self._make_series_of(child, arrival))

    def _make_series_of(self, child: Any, arrival: Arrival) -> None:
        child.__class__ = type(self)
        numbers = child._taken(arrival)
        own = ("_is_timed", "_adds_up_unless_set", "_has_chosen_mode", "_definition")
        child.__dict__.update({name: value for name, value in self.__dict__.items() if name in own})
        child._be_there()
        child.take_up(numbers)

    def _taken(self, arrival: Arrival) -> list[Any]:
        if arrival.created_s is None:
            arrival.created_s = self.__dict__.get("_created")
        if arrival.numbers is None:
            arrival.numbers = self.take_numbers()
        for name in _NUMBERS:
            self.__dict__.pop(name, None)
        if not arrival.is_begun:
            self._metric_init()
            self._created = arrival.created_s or self._created
            arrival.is_begun = True
        return arrival.numbers

    def begin_again(self, registry: str) -> None:
        """Record to shared cells again, after another metric of the name has left the registry.

        What this process has counted in between, in cells of the metric's own, is added.
        """
        kept = [(series, series._cells) for series in self._each() if not series._is_parent()]
        arrival = Arrival()
        complete(lambda: self._go_back(registry, kept, arrival))

    def _go_back(self, registry: str, kept: list[tuple[Any, Any]], arrival: Arrival) -> None:
        every = (self, *(each for each, _ in kept))
        if not arrival.is_begun:
            # First: a series that another thread makes from now on takes its definition from the metric.
            self._set_definition(registry)
            for series in every:
                series._is_displaced = series._is_removed = False
                series._cells = None
            arrival.is_begun = True
        self._take_place()
        if arrival.numbers is None:
            arrival.numbers = [self._held_in(cells) for _, cells in kept]
        for (series, _), numbers in zip(kept, arrival.numbers, strict=True):
            for held in numbers:
                if held.amount:
                    series._add_held(held)

    def _held_in(self, cells: Any) -> list[HeldNumber]:
        """The numbers in cells of the metric's own."""
        numbers = [HeldNumber(None, at) for at in range(0 if cells is None else self._count_of_numbers())]
        for held in numbers:
            held.amount = cells[held.at]
        return numbers

    def _count_of_numbers(self) -> int:
        stream = self._definition.plain_stream()
        return len(stream.bounds) + 2 if stream.kind is Kind.HISTOGRAM else 1
