"""The benchmark of throughput: what it makes of its pairs, and that it runs."""

from __future__ import annotations

import shutil

import pytest

from benchmarks.throughput import COMMANDS, Outcome, Pair, compare, describe

QUIET = """\
Flask under gunicorn, requests a second:
        bare  measured     lost
       800.0     796.0   +0.50%
       800.0     792.0   +1.00%
       800.0     804.0   -0.50%
  median of 3: +0.50% lost, goal at most 2%: ok; half of the pairs are between -0.50% and +1.00%"""

LOUD = """\
Flask under gunicorn, requests a second:
        bare  measured     lost
       800.0     760.0   +5.00%
       800.0     780.0   +2.50%
  median of 2: +3.75% lost, goal at most 2%: OVER; half of the pairs are between +1.88% and +5.63%
  the pairs differ too much to say it: run it again when the machine is idle"""


def test_pairs_that_agree_are_a_verdict() -> None:
    pairs = [Pair(800.0, 796.0), Pair(800.0, 792.0), Pair(800.0, 804.0)]
    assert describe(Outcome("Flask under gunicorn", pairs)) == QUIET


def test_pairs_that_do_not_agree_are_said_to_be_none() -> None:
    assert describe(Outcome("Flask under gunicorn", [Pair(800.0, 760.0), Pair(800.0, 780.0)])) == LOUD


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed: scripts/apt-install wrk")
@pytest.mark.parametrize("what", COMMANDS)
def test_it_loads_both_services(what: str) -> None:
    outcome = compare(what, pairs=2, seconds=1)
    assert len(outcome.pairs) == 2
    # A millisecond of work each, on one processor.
    assert all(0 < rate <= 1000 for pair in outcome.pairs for rate in pair)
