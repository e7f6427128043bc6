"""Sums that come out the same in any order.

A rounded sum depends on the order of its terms in the last bit. Added up by another worker, or after a
part was folded, a total could go down by that bit, which Prometheus would take for a counter reset.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import fsum


def add(terms: Iterable[float]) -> float:
    """The sum of *terms*, rounded once; of infinite terms what IEEE 754 says."""
    terms = tuple(terms)
    try:
        return fsum(terms)
    except (OverflowError, ValueError):
        return sum(terms)


def add_rows(rows: Sequence[Sequence[float]]) -> list[float]:
    """Add up *rows*, place by place, each sum rounded once."""
    if len(rows) == 1:
        return list(rows[0])
    try:
        return list(map(fsum, zip(*rows, strict=True)))
    except (OverflowError, ValueError):
        return list(map(add, zip(*rows, strict=True)))


def split(terms: Sequence[float]) -> tuple[float, float]:
    """The rounded sum of *terms*, and the rounding rest: together 106 bits."""
    total = add(terms)
    rest = add((*terms, -total))
    # The difference is NaN where the rest is infinite or NaN.
    return total, rest if rest - rest == 0.0 else 0.0
