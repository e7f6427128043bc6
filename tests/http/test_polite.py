"""A scrape beside other threads makes the interpreter switch more often, and only while it lasts."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator

import pytest

from otel_obs.http.polite import SWITCH_S, run_politely
from otel_obs.http.scrape import PartedAnswer

ANSWER = PartedAnswer(200, [], [])


def steps(seen: list[float]) -> Generator[None, None, PartedAnswer]:
    seen.append(sys.getswitchinterval())
    yield
    return ANSWER


def test_the_switch_interval_is_given_back() -> None:
    before, seen = sys.getswitchinterval(), []  # type: tuple[float, list[float]]
    assert run_politely(steps(seen)) is ANSWER
    assert seen == [pytest.approx(SWITCH_S)]
    assert sys.getswitchinterval() == pytest.approx(before)
    assert run_politely(steps(seen), lambda: False) is None
    assert sys.getswitchinterval() == pytest.approx(before)


def test_a_child_that_is_forked_in_the_middle_of_one_starts_over() -> None:
    before = sys.getswitchinterval()

    def forks() -> Generator[None, None, PartedAnswer]:
        yield
        pid = os.fork()
        if not pid:
            seen: list[float] = []
            is_back = abs(sys.getswitchinterval() - before) < 1e-6
            run_politely(steps(seen))
            os._exit(not (is_back and abs(sys.getswitchinterval() - before) < 1e-6 and len(seen) == 1))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        return ANSWER

    assert run_politely(forks()) is ANSWER
