"""Exponential histograms as Prometheus' native ones.

Source: OpenTelemetry specification, Prometheus and OpenMetrics Compatibility, Exponential Histograms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from otel_obs.cells.snapshot import ExponentialValue

MIN_SCHEMA, MAX_SCHEMA = -4, 8

ZERO_THRESHOLD = 1e-128
"""The default width of the zero bucket: it holds values up to this distance from zero."""


class Side(NamedTuple):
    """The buckets of one sign: spans as (gap before, or index of the first; length), and count deltas."""

    spans: list[tuple[int, int]]
    deltas: list[int]


class NativeHistogram(NamedTuple):
    """An integer native histogram with standard exponential buckets; `total` is its count."""

    schema: int
    zero_count: int
    total: int
    sum: float
    positive: Side
    negative: Side


def to_native(value: ExponentialValue) -> NativeHistogram | None:
    """Convert *value*, downscaled where it is finer than Prometheus knows; None where it is coarser."""
    if value.scale < MIN_SCHEMA:
        return None
    shift = max(0, value.scale - MAX_SCHEMA)
    total = value.zero_count + sum(value.positive) + sum(value.negative)
    return NativeHistogram(
        value.scale - shift,
        value.zero_count,
        total,
        value.sum,
        _side(value.positive_offset, value.positive, shift),
        _side(value.negative_offset, value.negative, shift),
    )


def _side(offset: int, counts: Sequence[int], shift: int) -> Side:
    spans: list[tuple[int, int]] = []
    deltas: list[int] = []
    previous, after = 0, 0
    for index, count in _merged(offset, counts, shift):
        if spans and index == after:
            spans[-1] = (spans[-1][0], spans[-1][1] + 1)
        else:
            spans.append((index - after if spans else index, 1))
        deltas.append(count - previous)
        previous, after = count, index + 1
    return Side(spans, deltas)


def _merged(offset: int, counts: Sequence[int], shift: int) -> Iterator[tuple[int, int]]:
    """Counts that are not zero, by Prometheus' index: that of a bucket's upper bound, not of its lower."""
    buckets: dict[int, int] = {}
    for at, count in enumerate(counts, offset):
        if count:
            index = (at >> shift) + 1
            buckets[index] = buckets.get(index, 0) + int(count)
    yield from buckets.items()
