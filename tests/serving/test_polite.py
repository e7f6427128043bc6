"""A scrape beside other threads makes the interpreter switch more often, and only while it lasts."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Iterator, Sequence

import pytest
import trio

from otel_obs.serving.aside import answer_aside
from otel_obs.serving.polite import SWITCH_S, run_politely
from otel_obs.serving.scrape import PartedAnswer, Scrape, ScrapeRequest

ANSWER = PartedAnswer(200, [], [])


def steps(seen: list[float]) -> Generator[float, None, PartedAnswer]:
    seen.append(sys.getswitchinterval())
    yield 0.0
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

    def forks() -> Generator[float, None, PartedAnswer]:
        yield 0.0
        pid = os.fork()
        if not pid:
            seen: list[float] = []
            is_back = abs(sys.getswitchinterval() - before) < 1e-6
            run_politely(steps(seen))
            os._exit(not (is_back and abs(sys.getswitchinterval() - before) < 1e-6 and len(seen) == 1))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        return ANSWER

    assert run_politely(forks()) is ANSWER


class _Slow:
    """A source that takes half a second, in parts of ten milliseconds."""

    def collect(self, accept: str | None, names: Sequence[str]) -> tuple[str, Iterator[bytes]]:
        return "text/plain", self._parts()

    def _parts(self) -> Iterator[bytes]:
        for _ in range(50):
            time.sleep(0.01)
            yield b"x"


def test_trios_loop_turns_while_a_scrape_is_answered() -> None:
    turns = 0
    answers: list[PartedAnswer] = []

    async def turn() -> None:
        nonlocal turns
        while not answers:
            turns += 1
            await trio.sleep(0.01)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(turn)
            answers.append(await answer_aside(Scrape(_Slow()), ScrapeRequest("GET")))

    trio.run(main)
    assert answers[0].status == 200
    assert b"".join(answers[0].parts) == b"x" * 50
    assert turns > 10
