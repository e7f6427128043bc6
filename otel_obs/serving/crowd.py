"""Many scrapes at once: they share one answer where they can, and are kept waiting or refused beyond that.

An answer is shared by those who asked before it was begun, so that whoever has one finds everything counted
that was counted before it asked. Only where slow readers hold a large page already is it given to others as
well, as long as it is fresh: otherwise each of them would hold a page of its own.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any, Generic, NamedTuple, TypeVar

from otel_obs.host import forks
from otel_obs.host.weak import WeakObjects

T = TypeVar("T")

BUSY = 0.005
"""Seconds between two looks at whether it is one's turn."""

AT_A_TIME = 4
"""So many answers are made at a time, of different formats or families; of the same, one."""

PRESENT = 64
"""So many scrapes are made or wait; more are refused."""

LARGE_BYTES = 1_000_000
"""What is smaller may be there once for each reader."""

FRESH_S = 1.0
HELD = 4
STALE_S = 30.0
"""Where readers hold so many large answers already, the newest of them is given to others for so long."""


class _HeldAnswer(NamedTuple, Generic[T]):
    """A large answer that readers may still hold."""

    at_s: float
    body: weakref.ref[list[bytes]]
    around: Callable[[list[bytes]], T]


class ScrapeTurn(Generic[T]):
    """One scrape's place: it makes the answer, or waits for that of the one that does."""

    def __init__(self, crowd: Crowd[T], key: Hashable) -> None:
        self._crowd, self._key = crowd, key
        self._flight: _Flight[T] | None = None
        self._is_alone = False

    @property
    def answer(self) -> T | None:
        """The answer, where somebody has made it."""
        return self._flight.answer if self._flight is not None else None

    @property
    def is_mine(self) -> bool:
        """Whether this one is to make the answer now."""
        flight = self._flight
        if self._is_alone or self._crowd._is_within():  # a scrape within a scrape, of a signal handler
            self._is_alone = True
            return True
        if flight is None or (flight.is_over and flight.answer is None):
            flight = self._flight = self._crowd._join(self._key, self)
        if flight.runner is not self:
            return False
        flight.answer = flight.answer or self._crowd._held_by_others(self._key)
        return flight.answer is None and self._crowd._begin(self._key, flight)

    def done(self, answer: T, body: list[bytes], size_bytes: int, around: Callable[[list[bytes]], T]) -> None:
        """Give the answer to all who wait for it.

        Args:
            answer: Whole.
            body: What is large of it.
            size_bytes: Of the body.
            around: Makes the same answer around a body.
        """
        if self._flight is not None and not self._is_alone:
            self._flight.answer = answer
        if size_bytes >= LARGE_BYTES:
            self._crowd._note(self._key, _HeldAnswer(self._crowd._clock(), weakref.ref(body), around))

    def leave(self) -> None:
        """Be there no more; who waits for an answer that was not made makes it."""
        flight = self._flight
        if flight is not None and flight.runner is self and not self._is_alone:
            flight.is_over = True
            self._crowd._end(self._key, flight)


class _Flight(Generic[T]):
    """One answer, from when somebody asks for it until it is made or given up."""

    def __init__(self, runner: ScrapeTurn[T]) -> None:
        self.runner = runner
        self.thread = get_ident()
        self.answer: T | None = None
        self.is_over = False


class Crowd(Generic[T]):
    """All scrapes of one page. A step is one look at a dictionary: no lock that a handler could meet.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        _crowds.add(self)
        self.start_over()

    def start_over(self) -> None:
        """Forget everybody, who are threads of the parent process."""
        self._present: dict[ScrapeTurn[T], None] = {}
        self._waiting: dict[Hashable, _Flight[T]] = {}
        self._running: dict[Hashable, _Flight[T]] = {}
        self._held: dict[Hashable, list[_HeldAnswer[T]]] = {}

    @property
    def is_full(self) -> bool:
        """Whether one more is too many."""
        return len(self._present) >= PRESENT

    @contextmanager
    def enter(self, key: Hashable) -> Iterator[ScrapeTurn[T]]:
        """Be one of those who want the answer that *key* names."""
        turn: ScrapeTurn[T] = ScrapeTurn(self, key)
        self._present[turn] = None
        try:
            yield turn
        finally:
            self._present.pop(turn, None)
            turn.leave()

    def _join(self, key: Hashable, turn: ScrapeTurn[T]) -> _Flight[T]:
        flight = self._waiting.get(key)
        if flight is None or flight.is_over:
            self._waiting.pop(key, None)
            flight = self._waiting.setdefault(key, _Flight(turn))
        return flight

    def _is_within(self) -> bool:
        thread = get_ident()
        return any(flight.thread == thread for flight in list(self._running.values()))

    def _begin(self, key: Hashable, flight: _Flight[T]) -> bool:
        if len(self._running) >= AT_A_TIME or self._running.setdefault(key, flight) is not flight:
            return False
        flight.thread = get_ident()
        if self._waiting.get(key) is flight:
            self._waiting.pop(key, None)  # who comes from here on wants a later one
        return True

    def _end(self, key: Hashable, flight: _Flight[T]) -> None:
        for table in (self._running, self._waiting):
            if table.get(key) is flight:
                table.pop(key, None)

    def _note(self, key: Hashable, held: _HeldAnswer[T]) -> None:
        """Remember a large answer for as long as somebody holds it."""
        kept = {other: [one for one in some if one.body() is not None] for other, some in self._held.items()}
        self._held = {other: some for other, some in kept.items() if some}
        self._held.setdefault(key, []).append(held)

    def _held_by_others(self, key: Hashable) -> T | None:
        alive = [(held, body) for held in self._held.get(key, ()) if (body := held.body()) is not None]
        if not alive:
            return None
        held, body = alive[-1]
        age_s = self._clock() - held.at_s
        return held.around(body) if age_s <= (FRESH_S if len(alive) < HELD else STALE_S) else None


_crowds: WeakObjects[Crowd[Any]] = WeakObjects()


def _start_over() -> None:
    for crowd in _crowds.living():
        crowd.start_over()


forks.after_in_child(_start_over)
