"""What a scrape gets: every stream, merged over workers, as values."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from math import inf, isfinite
from typing import Any, NamedTuple, overload

from otel_obs.cells.attributes import Attributes
from otel_obs.cells.exponential import ExponentialValue
from otel_obs.cells.layout import Stream

__all__ = ["Column", "Exemplar", "ExponentialValue", "Rows", "SeriesTable", "Snapshot"]


class Exemplar(NamedTuple):
    """One measurement, kept with the trace that it was made in. `bucket` is 0 to n of a histogram, else 0."""

    bucket: int
    value: float
    unix_s: float
    trace_id: str
    span_id: str
    attributes: Attributes = ()


class Rows(Sequence[list[float]]):
    """Rows of numbers, each made when it is asked for.

    The garbage collector would visit every row that is kept as a list, in the middle of the service's work.

    Args:
        cells: The array that rows are cut from; it is never changed.
        starts: Where each row begins; shape (n,).
        width: How many numbers a row has.
    """

    __slots__ = ("_cells", "_starts", "_width")

    def __init__(self, cells: array[float], starts: Sequence[int], width: int) -> None:
        self._cells, self._starts, self._width = cells, starts, width

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[list[float]]:
        cells, width = self._cells, self._width
        for at in self._starts:
            yield cells[at : at + width].tolist()

    @overload
    def __getitem__(self, at: int) -> list[float]: ...

    @overload
    def __getitem__(self, at: slice) -> Rows: ...

    def __getitem__(self, at: int | slice) -> list[float] | Rows:
        if isinstance(at, slice):
            return Rows(self._cells, self._starts[at], self._width)
        start = self._starts[at]
        return self._cells[start : start + self._width].tolist()

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    def __repr__(self) -> str:
        return repr(list(self))


class SeriesTable:
    """The series of one stream over all workers.

    The object stays the same from scrape to scrape as long as no series came or went, so encoders keep
    what they derive from it (names, label blocks) in `scratch`, which goes with the table.

    Args:
        stream: The stream.
        attributes: Of each series.
        created_s: When each began, in Unix seconds.
        before: The table that this one replaces; what encoders derived from it is in `left`.
        kept: Where each series was in `before`; -1 for a new one.
    """

    __slots__ = ("_began_s", "attributes", "created_s", "kept", "left", "scratch", "stream")

    def __init__(
        self,
        stream: Stream,
        attributes: list[Attributes],
        created_s: list[float],
        before: SeriesTable | None = None,
        kept: Sequence[int] = (),
    ) -> None:
        self.stream = stream
        self.attributes = attributes
        self.created_s = created_s
        self.scratch: dict[Any, Any] = {}
        self.left: dict[Any, Any] = dict(before.scratch) if before is not None else {}
        self.kept = kept
        self._began_s: float | None = None

    @property
    def began_s(self) -> float:
        """When the first of its series began; infinity where that is unknown."""
        if self._began_s is None:
            self._began_s = min(filter(isfinite, self.created_s), default=inf)
        return self._began_s


class Column(NamedTuple):
    """The values of one table, in the order of its series.

    COUNTER, UPDOWN and GAUGE: one float a series. HISTOGRAM: `[b0, …, bn, sum]`, the buckets not
    cumulative, shape (len(bounds) + 2,). EXPONENTIAL: an `ExponentialValue` a series.
    `exemplars` maps a series' position to its exemplars. `times` gives when each gauge was set, on a clock
    that all workers share.
    """

    table: SeriesTable
    values: Sequence[Any]
    exemplars: dict[int, list[Exemplar]]
    times: Callable[[], Sequence[float]] | None = None


class Snapshot(NamedTuple):
    """All columns, how many workers live, and how many files could not be read."""

    columns: list[Column]
    workers: int
    skipped: int
