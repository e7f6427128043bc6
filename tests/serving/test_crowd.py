"""Many scrapes at once: they share an answer, wait for their turn, and are refused beyond that."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from otel_obs.serving import crowd
from otel_obs.serving.scrape import PartedAnswer, Scrape, ScrapeRequest, ScrapeSteps, run_steps

GET = ScrapeRequest("GET")


class Pages:
    """A page that says which one it is."""

    def __init__(self, size_bytes: int = 10) -> None:
        self.size_bytes, self.begun = size_bytes, 0

    def collect(self, accept: str, names: Sequence[str]) -> tuple[str, Iterator[bytes]]:
        return accept or "text/plain", self._parts()

    def _parts(self) -> Iterator[bytes]:
        self.begun += 1
        yield b"%d " % self.begun
        yield b"x" * self.size_bytes


def go_on(steps: ScrapeSteps) -> PartedAnswer | None:
    """One step; the answer at the end."""
    try:
        next(steps)
    except StopIteration as end:
        answer: PartedAnswer = end.value
        return answer
    return None


def finished(each: Sequence[ScrapeSteps]) -> list[PartedAnswer]:
    """Do a step of each in turn until all have answered, as threads would."""
    answers: dict[int, PartedAnswer] = {}
    for _ in range(10_000):
        for at, steps in enumerate(each):
            if at not in answers and (answer := go_on(steps)) is not None:
                answers[at] = answer
        if len(answers) == len(each):
            return [answers[at] for at in range(len(each))]
    raise AssertionError(f"{len(each) - len(answers)} scrapes never end")


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every scrape runs on a thread of its own."""
    number = itertools.count()
    monkeypatch.setattr(crowd, "get_ident", lambda: next(number))


def test_who_asks_meanwhile_shares_one_answer_that_is_begun_later() -> None:
    pages = Pages()
    scrape = Scrape(pages)
    first = scrape.steps(GET)
    go_on(first)
    go_on(first)
    answers = finished([first, *(scrape.steps(GET) for _ in range(20))])
    assert pages.begun == 2
    assert [answer.parts[0][:1] for answer in answers] == [b"1", *[b"2"] * 20]
    assert len({id(answer.headers) for answer in answers}) == 21  # servers add to them


def test_who_asks_later_gets_a_later_answer() -> None:
    pages = Pages()
    scrape = Scrape(pages)
    assert [run_steps(scrape.steps(GET)).parts[0][:1] for _ in range(3)] == [b"1", b"2", b"3"]


def test_slow_readers_of_a_large_page_hold_one_between_them() -> None:
    pages, now_s = Pages(2_000_000), [0.0]
    scrape = Scrape(pages, clock=lambda: now_s[0])
    answers = [run_steps(scrape.steps(GET)) for _ in range(50)]
    assert len({id(answer.parts) for answer in answers}) == pages.begun == 1
    for _ in range(100):
        now_s[0] += 0.2
        answers.append(run_steps(scrape.steps(GET)))
    assert len({id(answer.parts) for answer in answers}) <= crowd.HELD
    now_s[0] += crowd.STALE_S
    assert run_steps(scrape.steps(GET)).parts is not answers[-1].parts
    answers.clear()
    gc.collect()
    begun = pages.begun
    run_steps(scrape.steps(GET))
    assert pages.begun == begun + 1


def test_a_small_page_is_always_made_anew() -> None:
    pages = Pages()
    scrape = Scrape(pages)
    answers = [run_steps(scrape.steps(GET)) for _ in range(5)]
    assert len({id(answer.parts) for answer in answers}) == 5


def test_not_too_many_are_made_at_a_time() -> None:
    pages = Pages()
    scrape = Scrape(pages)
    each = [scrape.steps(ScrapeRequest("GET", f"name[]={number}")) for number in range(10)]
    for steps in each:
        for _ in range(3):
            go_on(steps)
    assert pages.begun == crowd.AT_A_TIME
    assert {answer.status for answer in finished(each)} == {200}


def test_more_than_enough_are_refused_at_once() -> None:
    scrape = Scrape(Pages())
    each = [scrape.steps(GET) for _ in range(crowd.PRESENT)]
    for steps in each:
        go_on(steps)
    answer = run_steps(scrape.steps(GET))
    assert (answer.status, ("Retry-After", "1") in answer.headers) == (503, True)
    assert {answer.status for answer in finished(each)} == {200}
    assert run_steps(scrape.steps(GET)).status == 200


def test_who_leaves_or_fails_takes_nobody_along() -> None:
    class Failing(Pages):
        def _parts(self) -> Iterator[bytes]:
            self.begun += 1
            if self.begun == 1:
                raise OSError
            yield b"%d" % self.begun

    pages = Failing()
    scrape = Scrape(pages)
    failing, leaving, *others = [scrape.steps(GET) for _ in range(4)]
    answers = finished([failing])
    for steps in (leaving, *others):
        go_on(steps)
    leaving.close()
    assert [answer.status for answer in (*answers, *finished(others))] == [500, 200, 200]


def test_waiting_ends_with_the_scrapers_patience() -> None:
    now_s = [0.0]
    scrape = Scrape(Pages(), clock=lambda: now_s[0])
    first, second = scrape.steps(GET), scrape.steps(GET._replace(timeout_s="3"))
    for steps in (first, first, second):
        go_on(steps)
    now_s[0] = 4.0
    assert run_steps(second).status == 503
    assert run_steps(first).status == 200


def test_a_scrape_within_a_scrape_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "get_ident", lambda: 1)
    pages = Pages()
    scrape = Scrape(pages)
    outer = scrape.steps(GET)
    go_on(outer)
    go_on(outer)
    assert run_steps(scrape.steps(GET)).parts[0][:1] == b"2"
    assert run_steps(outer).parts[0][:1] == b"1"


def test_a_child_has_nobody_of_the_parents_to_wait_for() -> None:
    scrape = Scrape(Pages())
    abandoned: Any = scrape.steps(GET)
    go_on(abandoned)
    go_on(abandoned)
    crowd._start_over()
    assert run_steps(scrape.steps(GET)).status == 200
