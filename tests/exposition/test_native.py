"""Exponential histograms: downscaling, spans and the classic fallback, against plain arithmetic."""

from __future__ import annotations

import math
from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel_obs.cells.snapshot import ExponentialValue
from otel_obs.exposition.classic import classic_row
from otel_obs.exposition.native import Side, to_native

SIDES = st.tuples(st.integers(-3000, 3000), st.lists(st.integers(0, 9), max_size=40))


def value_of(
    scale: int, positive: tuple[int, list[int]], negative: tuple[int, list[int]]
) -> ExponentialValue:
    return ExponentialValue(scale, 2, 1.0, *positive, *negative)


def unpacked(side: Side) -> dict[int, int]:
    """Counts by Prometheus' index, as a reader of spans and deltas finds them."""
    counts = accumulate(side.deltas)
    at, found = 0, {}
    for gap, length in side.spans:
        at += gap
        for _ in range(length):
            found[at] = next(counts)
            at += 1
    assert next(counts, None) is None
    return found


@pytest.mark.parametrize(
    ("offset", "counts", "spans", "deltas"),
    [
        (3, [10, 0, 0, 20, 5, 2], [(4, 1), (2, 3)], [10, 10, -15, -3]),  # the specification's example
        (0, [], [], []),
        (0, [0, 0], [], []),
        (-1, [1], [(0, 1)], [1]),
        (-5, [0, 1, 1, 0, 3], [(-3, 2), (1, 1)], [1, 0, 2]),
    ],
)
def test_buckets_become_spans_and_deltas(
    offset: int, counts: list[int], spans: list[tuple[int, int]], deltas: list[int]
) -> None:
    native = to_native(value_of(0, (offset, counts), (0, [])))
    assert native is not None
    assert native.positive == Side(spans, deltas)


@given(st.integers(-4, 20), SIDES, SIDES)
def test_every_count_lies_in_the_bucket_that_its_bounds_fall_in(
    scale: int, positive: tuple[int, list[int]], negative: tuple[int, list[int]]
) -> None:
    native = to_native(value_of(scale, positive, negative))
    assert native is not None
    assert native.schema == min(scale, 8)
    assert native.total == 2 + sum(positive[1]) + sum(negative[1])
    for (offset, counts), side in ((positive, native.positive), (negative, native.negative)):
        expected: dict[int, int] = {}
        for at, count in enumerate(counts, offset):
            if count:  # upper bound 2**((at+1)/2**scale) is at most 2**(index/2**schema)
                index = math.ceil((at + 1) * 2.0 ** (native.schema - scale))
                expected[index] = expected.get(index, 0) + count
        assert unpacked(side) == expected


def test_a_scale_below_minus_4_cannot_be_native() -> None:
    assert to_native(value_of(-5, (0, [1]), (0, []))) is None


@given(st.integers(-10, 20), SIDES, SIDES)
@example(-2, (0, [1]), (0, []))
@example(-2, (-3, [1, 2, 3, 4]), (0, [5]))
def test_a_classic_bucket_counts_every_bucket_that_begins_below_its_bound(
    scale: int, positive: tuple[int, list[int]], negative: tuple[int, list[int]]
) -> None:
    exponents = range(-12, 31, 2)
    *row, total = classic_row(value_of(scale, positive, negative), exponents)
    offset, counts = positive
    below = 2 + sum(negative[1])
    assert total == 1.0
    assert list(accumulate(row)) == [
        *(
            below + sum(count for at, count in enumerate(counts, offset) if at * 2.0**-scale < exponent)
            for exponent in exponents
        ),
        below + sum(counts),
    ]
