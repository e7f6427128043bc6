"""An exit stack that lets nothing stand."""

from __future__ import annotations

import logging
import threading
from functools import partial

import pytest

from otel_obs.host.undoing import Undoing


def test_what_came_last_is_undone_first() -> None:
    undone: list[int] = []
    undoing = Undoing()
    for number in range(3):
        undoing.later(partial(undone.append, number))

    undoing.unwind()
    undoing.unwind()

    assert undone == [2, 1, 0]


def test_what_one_raises_is_logged_and_keeps_no_other_from_being_undone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    undone: list[str] = []
    undoing = Undoing()
    undoing.later(lambda: undone.append("first"))
    undoing.later(lambda: 1 / 0)

    with caplog.at_level(logging.WARNING, "otel_obs"):
        undoing.unwind()

    assert undone == ["first"]
    assert [record.getMessage() for record in caplog.records] == [
        "otel_obs could not undo a part of its set-up"
    ]


def test_an_interruption_comes_after_the_rest() -> None:
    undone: list[str] = []
    undoing = Undoing()
    undoing.later(lambda: undone.append("first"))

    def interrupt() -> None:
        raise KeyboardInterrupt

    undoing.later(interrupt)

    with pytest.raises(KeyboardInterrupt):
        undoing.unwind()
    assert undone == ["first"]


def test_what_an_interruption_ends_is_begun_again() -> None:
    undone: list[str] = []
    left = ["second", "first"]
    interruptions = [KeyboardInterrupt]

    def undo() -> None:
        while left:
            undone.append(left.pop())
            if interruptions:
                raise interruptions.pop()

    undoing = Undoing()
    undoing.later(lambda: undone.append("before"))
    undoing.later(undo)

    with pytest.raises(KeyboardInterrupt):
        undoing.unwind()
    assert undone == ["first", "second", "before"]
    assert undoing.is_through


def test_what_an_undoing_adds_is_undone_within() -> None:
    undone: list[str] = []
    undoing = Undoing()
    undoing.later(lambda: undone.append("before"))
    undoing.later(lambda: undoing.later(lambda: undone.append("within")))

    undoing.unwind()
    assert undone == ["within", "before"]


def test_what_is_added_too_late_is_undone_at_once() -> None:
    undone: list[str] = []
    undoing = Undoing()
    undoing.unwind()

    undoing.later(lambda: undone.append("late"))

    assert undone == ["late"]


def test_one_undoing_for_however_many() -> None:
    undone: list[str] = []

    def undo() -> None:
        undone.append("all")

    undoing = Undoing()
    for _ in range(50):
        undoing.once(undo)
    undoing.unwind()

    assert undone == ["all"]


def test_it_is_through_while_another_thread_is_in_the_middle_of_one() -> None:
    is_begun, may_end = threading.Event(), threading.Event()

    def slow() -> None:
        is_begun.set()
        may_end.wait(60)

    undoing = Undoing()
    undoing.later(slow)
    other = threading.Thread(target=undoing.unwind)
    other.start()
    assert is_begun.wait(60)

    undoing.unwind()

    assert undoing.is_through
    may_end.set()
    other.join()
