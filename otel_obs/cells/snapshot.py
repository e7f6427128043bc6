"""What a scrape gets: every stream, merged over workers, as values."""

from __future__ import annotations

from typing import Any, NamedTuple

from otel_obs.cells.exponential import ExponentialValue
from otel_obs.cells.layout import Attributes, Stream

__all__ = ["Column", "Exemplar", "ExponentialValue", "SeriesTable", "Snapshot"]


class Exemplar(NamedTuple):
    """One measurement, kept with the trace that it was made in. `bucket` is 0 to n of a histogram, else 0."""

    bucket: int
    value: float
    unix_s: float
    trace_id: str
    span_id: str
    attributes: Attributes = ()


class SeriesTable:
    """The series of one stream over all workers.

    The object stays the same from scrape to scrape as long as no series came or went, so encoders keep
    what they derive from it (names, label blocks) in `scratch`, which goes with the table.
    """

    __slots__ = ("attributes", "created_s", "scratch", "stream")

    def __init__(self, stream: Stream, attributes: list[Attributes], created_s: list[float]) -> None:
        self.stream = stream
        self.attributes = attributes
        self.created_s = created_s
        self.scratch: dict[Any, Any] = {}


class Column(NamedTuple):
    """The values of one table, in the order of its series.

    COUNTER, UPDOWN and GAUGE: one float a series. HISTOGRAM: `[b0, …, bn, sum]`, the buckets not
    cumulative, shape (len(bounds) + 2,). EXPONENTIAL: an `ExponentialValue` a series.
    `exemplars` maps a series' position to its exemplars.
    """

    table: SeriesTable
    values: list[Any]
    exemplars: dict[int, list[Exemplar]]


class Snapshot(NamedTuple):
    """All columns, how many workers live, and how many files could not be read."""

    columns: list[Column]
    workers: int
    skipped: int
