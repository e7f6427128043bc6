"""Sums do not depend on the order of their terms, nor on which of them were folded before."""

from __future__ import annotations

import math
import random
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from otel_obs.cells.summation import add, add_rows, split

terms = st.lists(st.floats(0, 1e9), min_size=1, max_size=12)
# Two floats hold 106 bits: all that durations from a picosecond on add up to in a million years.
durations = st.lists(st.integers(0, 2**60).map(lambda steps: steps * 2.0**-40), min_size=1, max_size=12)


@given(terms, st.randoms())
def test_the_order_does_not_matter(values: list[float], chance: random.Random) -> None:
    mixed = list(values)
    chance.shuffle(mixed)
    assert add(mixed) == add(values)


@given(terms, st.integers(0, 11), st.floats(0, 1e6))
def test_a_total_never_falls_when_a_term_grows(values: list[float], at: int, more: float) -> None:
    grown = list(values)
    grown[at % len(grown)] += more
    assert add(grown) >= add(values)


@given(durations, durations)
def test_a_part_that_was_folded_counts_the_same(folded: list[float], live: list[float]) -> None:
    total, rest = split(folded)
    assert add([*live, total, rest]) == add([*live, *folded])


@given(st.lists(terms, min_size=1, max_size=6))
def test_folding_again_and_again_rounds_nothing_away(rounds: list[list[float]]) -> None:
    total, rest = 0.0, 0.0
    for values in rounds:
        total, rest = split([*values, total, rest])
    exact = sum(map(Fraction, (value for values in rounds for value in values)))
    assert abs(Fraction(total) + Fraction(rest) - exact) <= exact * Fraction(1, 2**100)


def test_what_is_infinite_or_no_number_is_what_ieee_754_says() -> None:
    assert add([math.inf, 1.0]) == math.inf
    assert math.isnan(add([math.inf, -math.inf]))
    assert add([1e308, 1e308]) == math.inf
    assert split([math.inf, 1.0]) == (math.inf, 0.0)
    assert add_rows([[1.0, math.inf, 1e308], [2.0, -math.inf, 1e308]])[0] == 3.0


def test_one_row_is_itself() -> None:
    assert add_rows([[0.1, 0.2]]) == [0.1, 0.2]
