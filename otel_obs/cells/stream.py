"""Metric streams as every worker declares them, and what the cells of a series hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

from otel_obs.cells import exponential
from otel_obs.cells.attributes import Attributes, decode_attributes, tagged
from otel_obs.cells.gauge_rules import demand_rule
from otel_obs.cells.validity import (
    demand,
    demand_ascending,
    demand_finite,
    demand_pairs,
    demand_shallow,
    demand_size_and_scale,
    demand_texts,
)


class Kind(IntEnum):
    """What the cells of a series hold, and so how workers are merged."""

    COUNTER = 1
    UPDOWN = 2
    GAUGE = 3
    HISTOGRAM = 4
    EXPONENTIAL = 5


class Scope(NamedTuple):
    """An instrumentation scope."""

    name: str
    version: str | None = None
    schema_url: str | None = None
    attributes: Attributes = ()


class Stream(NamedTuple):
    """A metric stream as every worker declares it; equal streams are merged.

    `bounds` are a histogram's upper bounds, inclusive and ascending, in `unit`; for an exponential
    histogram they are `(max_size, max_scale)`. `merge` is a gauge's rule over workers. `part` tells apart
    several instruments of one worker that are one stream to readers.
    """

    kind: Kind
    name: str
    unit: str = ""
    description: str = ""
    scope: Scope = Scope("")
    bounds: tuple[float, ...] = ()
    merge: str = "latest"
    part: int = 0

    @property
    def cells(self) -> int:
        """The number of cells that one series takes."""
        if self.kind is Kind.HISTOGRAM:
            return len(self.bounds) + 4  # buckets, +Inf, sum, min, max
        if self.kind is Kind.GAUGE:
            return 2  # value, and the monotonic time at which it was set
        if self.kind is Kind.EXPONENTIAL:
            return exponential.cells_of(int(self.bounds[0]))
        return 1

    @property
    def sum_at(self) -> int:
        """Which of its cells holds the sum, where the kind has one."""
        return {Kind.HISTOGRAM: len(self.bounds) + 1, Kind.EXPONENTIAL: exponential.SUM}.get(self.kind, 0)

    @property
    def rest_at(self) -> int:
        """The cell of a retired series that holds the rounding rest of the sum; it has no other use there."""
        if self.kind is Kind.EXPONENTIAL:
            return self.cells - 2
        return self.sum_at + 1

    @property
    def exemplar_slots(self) -> int:
        """How many exemplars a series keeps: one for each bucket, or 8 where buckets are not fixed."""
        return {Kind.COUNTER: 1, Kind.HISTOGRAM: len(self.bounds) + 1, Kind.EXPONENTIAL: 8}.get(self.kind, 0)

    @property
    def initial_cells(self) -> tuple[float, ...]:
        """What the cells of a new series hold."""
        if self.kind is Kind.HISTOGRAM:
            return (0.0,) * (len(self.bounds) + 2) + (math.inf, -math.inf)
        if self.kind is Kind.EXPONENTIAL:
            return exponential.initial_cells(int(self.bounds[0]), int(self.bounds[1]))
        return (0.0,) * self.cells


def describe(stream: Stream, limit: int) -> bytes:
    """JSON of *stream* and of how many series it may have."""
    return json.dumps([*tagged(stream), limit], separators=(",", ":")).encode()


def described_by(data: bytes) -> tuple[Stream, int]:
    """The inverse of `describe`.

    Raises:
        InvalidError: No worker can have written it.
        ValueError, TypeError, LookupError: It is no JSON, or of another form.
    """
    demand_shallow(data)
    described: Any = json.loads(data)
    demand(type(described) is list, "a stream is no list")
    kind, name, unit, description, scope, bounds, merge, part, limit = described
    demand_texts((name, unit, description, scope[0], merge))
    demand_texts(scope[1:3], or_none=True)
    demand_pairs(scope[3])
    demand_finite(bounds)
    demand(type(part) is int and part >= 0, "a stream has no such part")
    demand(type(limit) is int and limit > 0, "a stream has no such limit")
    attributes = decode_attributes(json.dumps(scope[3]).encode())
    stream = Stream(
        Kind(kind),
        name,
        unit,
        description,
        Scope(scope[0], scope[1], scope[2], attributes),
        tuple(bounds),
        merge,
        part,
    )
    # A TypeError for fields that cannot be part of a key, such as lists.
    hash(stream)
    _CHECKS.get(stream.kind, _check_nothing)(stream)
    return stream, limit


def _check_nothing(stream: Stream) -> None:
    """Other kinds have nothing further to check."""


_CHECKS: dict[Kind, Callable[[Stream], None]] = {
    Kind.GAUGE: lambda stream: demand_rule(stream.merge),
    Kind.HISTOGRAM: lambda stream: demand_ascending(stream.bounds),
    Kind.EXPONENTIAL: lambda stream: demand_size_and_scale(stream.bounds),
}
