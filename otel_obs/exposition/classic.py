"""Exponential histograms in formats that know none: a classic histogram with bounds that never change."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from otel_obs.cells.snapshot import ExponentialValue

EXPONENTS = range(-12, 31, 2)
"""The bounds are these powers of two: 0.00024 to 1,073,741,824, each four times the one before.

They do not follow the data: a bound that came later would begin at a count that never was an increase,
and one that went would end a series. Powers of two are boundaries of every scale from 0 upwards, so the
counts are exact. At a negative scale a bucket that straddles a bound counts as below it: as a scale falls,
what was below a bound stays there, and no count ever falls.
"""

TIME_EXPONENTS = {"seconds": range(-12, 11), "milliseconds": range(-2, 21)}
"""Times get finer bounds: 0.24 ms to 17 minutes, each twice the one before."""


def boundaries(unit: str) -> range:
    """The bounds of what is measured in *unit* (`seconds`), as exponents of two."""
    return TIME_EXPONENTS.get(unit, EXPONENTS)


def classic_row(value: ExponentialValue, exponents: Sequence[int]) -> list[float]:
    """Count *value* in buckets that end at powers of two.

    Returns:
        Bucket counts, not cumulative, and the sum: shape (len(exponents) + 2,). Zeros and negative
        measurements are in the first.
    """
    below = sum(value.negative) + value.zero_count
    positive = [0, *accumulate(value.positive)]
    cumulative = [
        below + positive[min(max(_buckets_up_to(exponent, value), 0), len(positive) - 1)]
        for exponent in exponents
    ]
    cumulative.append(below + positive[-1])
    return [*(float(after - before) for before, after in pairwise((0, *cumulative))), value.sum]


def _buckets_up_to(exponent: int, value: ExponentialValue) -> int:
    """How many positive buckets begin below 2**exponent; bucket i begins at base**(offset+i)."""
    scale = value.scale
    end = exponent << scale if scale >= 0 else -(-exponent >> -scale)
    return end - value.positive_offset
