"""Base-2 exponential histograms in cells: recorded in place, decoded, merged and encoded again.

A side's bucket of index `i` lies at cell `i % max_size` of that side, so a window of buckets moves
without copying. Only a change of scale rewrites cells; it is bracketed by two numbers that a reader
compares: the far one is raised first and the near one last, and readers copy from near to far.

```
0 number   1 zero count   2 sum   3 scale   4 5 first and last positive index   6 7 negative
8 … positive buckets … negative buckets … number, minimum, maximum
```

Source: OpenTelemetry metrics data model, Exponential Histogram.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

ZERO_COUNT, SUM, SCALE, POSITIVE, NEGATIVE, BUCKETS = 1, 2, 3, 4, 6, 8
_TAIL = 3
_MIN_NORMAL = 2.2250738585072014e-308
_LOG2_E = 1 / math.log(2)


class ExponentialValue(NamedTuple):
    """An exponential histogram: `count[i]` of a side falls in (base**(offset+i), base**(offset+i+1)]."""

    scale: int
    zero_count: int
    sum: float
    positive_offset: int
    positive: list[int]
    negative_offset: int
    negative: list[int]


def cells_of(max_size: int) -> int:
    """How many cells a series with *max_size* buckets a side takes."""
    return BUCKETS + 2 * max_size + _TAIL


def initial_cells(max_size: int, max_scale: int) -> tuple[float, ...]:
    """What the cells of a new series hold: no bucket, at the finest scale."""
    head = (0.0, 0.0, 0.0, float(max_scale), 0.0, -1.0, 0.0, -1.0)
    return (*head, *((0.0,) * (2 * max_size)), 0.0, math.inf, -math.inf)


def index_of(value: float, scale: int) -> int:
    """The bucket of *value*, above 0: (base**index, base**(index + 1)], where base is 2**(2**-scale)."""
    value = max(value, _MIN_NORMAL)
    mantissa, exponent = math.frexp(value)  # value == mantissa * 2**exponent, mantissa in [0.5, 1)
    is_power = mantissa == 0.5
    if scale <= 0:
        return (exponent - 1 - is_power) >> -scale
    if is_power:
        return ((exponent - 1) << scale) - 1
    index = math.floor(math.log(value) * math.ldexp(_LOG2_E, scale))
    # Rounding of the logarithm must not leave the octave that the value is in.
    return min(max(index, (exponent - 1) << scale), (exponent << scale) - 1)


def record(cells: Any, at: int, max_size: int, value: float) -> None:
    """Add one measurement to the series whose cells begin at *at*. The caller holds the worker's lock."""
    cells[at + SUM] += value
    if value == 0.0:
        cells[at + ZERO_COUNT] += 1.0
        return
    side, buckets = (POSITIVE, BUCKETS) if value > 0 else (NEGATIVE, BUCKETS + max_size)
    index = index_of(abs(value), int(cells[at + SCALE]))
    first, last = int(cells[at + side]), int(cells[at + side + 1])
    if first > last:
        first = last = index
    low, high = min(first, index), max(last, index)
    if high - low >= max_size:
        _rescale(cells, at, max_size, change_for(low, high, max_size))
        index = index_of(abs(value), int(cells[at + SCALE]))
        first, last = int(cells[at + side]), int(cells[at + side + 1])
        low, high = min(first, index), max(last, index)
    cells[at + side], cells[at + side + 1] = float(low), float(high)
    cells[at + buckets + index % max_size] += 1.0


def change_for(low: int, high: int, max_size: int) -> int:
    """By how much the scale must fall for the buckets *low* to *high* to fit."""
    change = 0
    while high - low >= max_size:
        low, high, change = low >> 1, high >> 1, change + 1
    return change


def _rescale(cells: Any, at: int, max_size: int, change: int) -> None:
    value = downscale(decode(cells[at : at + cells_of(max_size)].tolist(), max_size), change)
    far = at + BUCKETS + 2 * max_size
    number = cells[far] + 1.0
    cells[far] = number
    for position, cell in enumerate(encode(value, max_size)[1:-_TAIL], 1):
        cells[at + position] = cell
    cells[at] = number


def is_whole(cells: Sequence[float], max_size: int) -> bool:
    """Whether a copy of a series' cells was not made in the middle of a change of scale."""
    return cells[0] == cells[BUCKETS + 2 * max_size]


def decode(cells: Sequence[float], max_size: int) -> ExponentialValue:
    """Read a series' cells."""
    sides = []
    for side, buckets in ((POSITIVE, BUCKETS), (NEGATIVE, BUCKETS + max_size)):
        first, last = int(cells[side]), int(cells[side + 1])
        sides.append((first, [int(cells[buckets + index % max_size]) for index in range(first, last + 1)]))
    (positive_offset, positive), (negative_offset, negative) = sides
    return ExponentialValue(
        int(cells[SCALE]),
        int(cells[ZERO_COUNT]),
        cells[SUM],
        positive_offset,
        positive,
        negative_offset,
        negative,
    )


def encode(value: ExponentialValue, max_size: int) -> list[float]:
    """The cells of a series that holds *value*; the extremes are empty."""
    cells = list(initial_cells(max_size, value.scale))
    cells[ZERO_COUNT], cells[SUM] = float(value.zero_count), value.sum
    sides = (
        (POSITIVE, BUCKETS, value.positive_offset, value.positive),
        (NEGATIVE, BUCKETS + max_size, value.negative_offset, value.negative),
    )
    for side, buckets, offset, counts in sides:
        if counts:
            cells[side], cells[side + 1] = float(offset), float(offset + len(counts) - 1)
            for index, count in enumerate(counts, offset):
                cells[buckets + index % max_size] = float(count)
    return cells


def downscale(value: ExponentialValue, change: int) -> ExponentialValue:
    """The same numbers in buckets 2**change times as wide."""
    if not change:
        return value
    positive_offset, positive = _widen(value.positive_offset, value.positive, change)
    negative_offset, negative = _widen(value.negative_offset, value.negative, change)
    return ExponentialValue(
        value.scale - change,
        value.zero_count,
        value.sum,
        positive_offset,
        positive,
        negative_offset,
        negative,
    )


def _widen(offset: int, counts: Sequence[int], change: int) -> tuple[int, list[int]]:
    if not counts:
        return 0, []
    first = offset >> change
    wide = [0] * (((offset + len(counts) - 1) >> change) - first + 1)
    for index, count in enumerate(counts, offset):
        wide[(index >> change) - first] += count
    return first, wide


def combine(
    left: ExponentialValue, right: ExponentialValue, max_size: int, sign: int = 1
) -> ExponentialValue:
    """Add two histograms, or subtract with *sign* -1, at the finest scale at which the result fits."""
    scale = min(_scale(left, right), _scale(right, left))
    left, right = downscale(left, left.scale - scale), downscale(right, right.scale - scale)
    change = max(
        _needed(left.positive_offset, left.positive, right.positive_offset, right.positive, max_size),
        _needed(left.negative_offset, left.negative, right.negative_offset, right.negative, max_size),
    )
    left, right = downscale(left, change), downscale(right, change)
    positive_offset, positive = _add(
        left.positive_offset, left.positive, right.positive_offset, right.positive, sign
    )
    negative_offset, negative = _add(
        left.negative_offset, left.negative, right.negative_offset, right.negative, sign
    )
    return ExponentialValue(
        scale - change,
        left.zero_count + sign * right.zero_count,
        left.sum + sign * right.sum,
        positive_offset,
        positive,
        negative_offset,
        negative,
    )


def _scale(value: ExponentialValue, other: ExponentialValue) -> int:
    """A histogram without buckets has any scale."""
    return value.scale if value.positive or value.negative else max(value.scale, other.scale)


def _needed(left_at: int, left: Sequence[int], right_at: int, right: Sequence[int], max_size: int) -> int:
    spans = [(at, at + len(counts) - 1) for at, counts in ((left_at, left), (right_at, right)) if counts]
    if not spans:
        return 0
    return change_for(min(low for low, _ in spans), max(high for _, high in spans), max_size)


def _add(
    left_at: int, left: Sequence[int], right_at: int, right: Sequence[int], sign: int
) -> tuple[int, list[int]]:
    starts = [at for at, counts in ((left_at, left), (right_at, right)) if counts]
    if not starts:
        return 0, []
    first = min(starts)
    total = [0] * (
        max(left_at + len(left) if left else first, right_at + len(right) if right else first) - first
    )
    for factor, at, counts in ((1, left_at, left), (sign, right_at, right)):
        for index, count in enumerate(counts, at):
            total[index - first] += factor * count
    return first, total


def trim(value: ExponentialValue) -> ExponentialValue:
    """Leave out empty buckets at both ends."""
    positive_offset, positive = _trim(value.positive_offset, value.positive)
    negative_offset, negative = _trim(value.negative_offset, value.negative)
    return value._replace(
        positive_offset=positive_offset,
        positive=positive,
        negative_offset=negative_offset,
        negative=negative,
    )


def _trim(offset: int, counts: Sequence[int]) -> tuple[int, list[int]]:
    filled = [position for position, count in enumerate(counts) if count]
    if not filled:
        return 0, []
    return offset + filled[0], list(counts[filled[0] : filled[-1] + 1])
