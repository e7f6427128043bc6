"""Base-2 exponential histograms in cells: recorded in place, decoded, merged and encoded again.

A side's bucket of index `i` lies at cell `i % max_size` of that side, so a window of buckets moves
without copying. Only a change of scale rewrites buckets, and it writes them to the other of two banks: a
worker that is killed in the middle leaves the current bank whole. The near number, in the first cell, tells
the current bank: even or odd. The far number is raised before the other bank is written. Readers copy from
the near to the far number; if the far one is ahead by more than 1, the bank was reused during the copy.

```
0 number   1 zero count   2 sum   … bank of even numbers … bank of odd numbers … number, minimum, maximum
a bank: 0 scale   1 2 first and last positive index   3 4 negative   5 … positive buckets … negative buckets
```

Source: OpenTelemetry metrics data model, Exponential Histogram.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from otel_obs.cells.validity import is_count, is_index, is_scale

ZERO_COUNT, SUM = 1, 2
_BANKS = 3
_SCALE, _POSITIVE, _NEGATIVE, _BUCKETS = 0, 1, 3, 5
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
    return _far(max_size) + _TAIL


def _bank_cells(max_size: int) -> int:
    return _BUCKETS + 2 * max_size


def _far(max_size: int) -> int:
    return _BANKS + 2 * _bank_cells(max_size)


def _bank(number: float, max_size: int) -> int:
    """The cell at which the current bank begins."""
    return _BANKS + int(number) % 2 * _bank_cells(max_size)


def initial_cells(max_size: int, max_scale: int) -> tuple[float, ...]:
    """What the cells of a new series hold: no bucket, at the finest scale."""
    bank = (float(max_scale), 0.0, -1.0, 0.0, -1.0, *((0.0,) * (2 * max_size)))
    return (0.0, 0.0, 0.0, *bank, *bank, 0.0, math.inf, -math.inf)


def index_of(value: float, scale: int) -> int:
    """The bucket of *value*, above 0: (base**index, base**(index + 1)], where base is 2**(2**-scale)."""
    # Subnormal numbers share the bucket of the smallest normal one.
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
    if value == 0.0:
        cells[at + ZERO_COUNT] += 1.0
        return
    bank = at + _bank(cells[at], max_size)
    side, buckets = (_POSITIVE, _BUCKETS) if value > 0 else (_NEGATIVE, _BUCKETS + max_size)
    index = index_of(abs(value), int(cells[bank + _SCALE]))
    low, high = _window(cells, bank + side, index)
    if high - low >= max_size:
        _rescale(cells, at, max_size, change_for(low, high, max_size))
        bank = at + _bank(cells[at], max_size)
        index = index_of(abs(value), int(cells[bank + _SCALE]))
        low, high = _window(cells, bank + side, index)
    first, last = float(low), float(high)
    bucket = bank + buckets + index % max_size
    # No call between these stores: a signal handler's exception comes before all of them or after all.
    cells[bank + side] = first
    cells[bank + side + 1] = last
    cells[bucket] += 1.0
    cells[at + SUM] += value


def _window(cells: Any, side: int, index: int) -> tuple[int, int]:
    """The first and the last bucket of a side when *index* is one of them."""
    first, last = int(cells[side]), int(cells[side + 1])
    return (index, index) if first > last else (min(first, index), max(last, index))


def change_for(low: int, high: int, max_size: int) -> int:
    """By how much the scale must fall for the buckets *low* to *high* to fit."""
    change = 0
    while high - low >= max_size:
        low, high, change = low >> 1, high >> 1, change + 1
    return change


def _rescale(cells: Any, at: int, max_size: int, change: int) -> None:
    value = downscale(decode(cells[at : at + cells_of(max_size)].tolist(), max_size), change)
    # Counted from the near number: an exception may have ended an earlier change after it raised the far one.
    # The order of the stores is: far number, bank, near number.
    number = cells[at] + 1.0
    cells[at + _far(max_size)] = number
    bank = at + _bank(number, max_size)
    for position, cell in enumerate(_encode_bank(value, max_size)):
        cells[bank + position] = cell
    cells[at] = number


def is_whole(cells: Sequence[float], max_size: int) -> bool:
    """Whether the current bank was not reused while a series' cells were copied."""
    return cells[_far(max_size)] - cells[0] <= 1.0


def is_sound(cells: Sequence[float], max_size: int) -> bool:
    """Whether a worker can have written these cells; `decode` relies on it."""
    if len(cells) < cells_of(max_size) or not is_count(cells[0]) or not is_count(cells[ZERO_COUNT]):
        return False
    bank = _bank(cells[0], max_size)
    scale, *indices = cells[bank : bank + _BUCKETS]
    counts = cells[bank + _BUCKETS : bank + _bank_cells(max_size)]
    return is_scale(scale) and all(map(is_index, indices)) and all(map(is_count, counts))


def decode(cells: Sequence[float], max_size: int) -> ExponentialValue:
    """Read a series' cells."""
    sides = []
    bank = _bank(cells[0], max_size)
    for side, buckets in ((_POSITIVE, _BUCKETS), (_NEGATIVE, _BUCKETS + max_size)):
        first, last, start = int(cells[bank + side]), int(cells[bank + side + 1]), bank + buckets
        if last - first >= max_size:
            first, last = 0, -1  # copied between the two stores that open a side's first window
        sides.append((first, [int(cells[start + index % max_size]) for index in range(first, last + 1)]))
    (positive_offset, positive), (negative_offset, negative) = sides
    return ExponentialValue(
        int(cells[bank + _SCALE]),
        int(cells[ZERO_COUNT]),
        cells[SUM],
        positive_offset,
        positive,
        negative_offset,
        negative,
    )


def encode_cells(value: ExponentialValue, max_size: int) -> list[float]:
    """The cells of a series that holds *value*; the extremes are empty."""
    cells = list(initial_cells(max_size, value.scale))
    cells[ZERO_COUNT], cells[SUM] = float(value.zero_count), value.sum
    cells[_BANKS : _BANKS + _bank_cells(max_size)] = _encode_bank(value, max_size)
    return cells


def _encode_bank(value: ExponentialValue, max_size: int) -> list[float]:
    cells = [float(value.scale), 0.0, -1.0, 0.0, -1.0, *([0.0] * (2 * max_size))]
    sides = (
        (_POSITIVE, _BUCKETS, value.positive_offset, value.positive),
        (_NEGATIVE, _BUCKETS + max_size, value.negative_offset, value.negative),
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
    # A shift rounds down, also for negative indices.
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
    """The scale of *value*; one without buckets takes the finer scale of the two."""
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
