"""The values of a series at a reader's last collection, from which deltas are computed."""

from __future__ import annotations

import operator
from typing import Any

from otel_obs.cells import exponential
from otel_obs.cells.layout import Kind, Stream
from otel_obs.sdk.aggregate import AggregateSeries, Aggregator

WITH_EXTREMES = (Kind.HISTOGRAM, Kind.EXPONENTIAL)


class PreviousCollection:
    """What one reader saw of one series at its last collection."""

    __slots__ = ("collected_ns", "reservoir", "started_ns", "updates", "values")

    def __init__(self, started_ns: int, values: list[float]) -> None:
        self.started_ns = started_ns
        self.collected_ns = started_ns
        self.updates = 0
        self.values = values
        self.reservoir: Any = None

    def is_changed(self, aggregator: Aggregator, series: AggregateSeries, values: list[float]) -> bool:
        """Whether anything was recorded since.

        The cells show it, or else `updates`: a measurement that may leave the cells as they are takes the
        slow path, which counts it.
        """
        updates, self.updates = self.updates, series.updates
        counted = slice(-3) if aggregator.stream.kind in WITH_EXTREMES else slice(None)
        return updates != series.updates or (
            not aggregator.plan.is_watched
            and values[counted] != (self.values or [0.0] * len(values))[counted]
        )

    def advance(self, stream: Stream, values: list[float]) -> list[float]:
        """What was recorded since."""
        before, self.values = self.values or list(stream.initial_cells), values
        if stream.kind is Kind.GAUGE:
            return values
        if stream.kind is Kind.EXPONENTIAL:
            size = int(stream.bounds[0])
            since = exponential.combine(
                exponential.decode(values, size), exponential.decode(before, size), size, -1
            )
            return [*exponential.encode_cells(exponential.trim(since), size)[:-2], *values[-2:]]
        if stream.kind is Kind.HISTOGRAM:
            return [*map(operator.sub, values[:-2], before[:-2]), *values[-2:]]
        return list(map(operator.sub, values, before))
