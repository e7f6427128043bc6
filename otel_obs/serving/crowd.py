"""Concurrent scrapes: equal ones share one answer; others wait for a turn, and too many are refused.

An answer is shared only by requests that arrived before its collection began, so that each request gets
everything that was counted before it. Exception: while slow clients still hold a large body in memory, later
requests get that body too if it is fresh; otherwise each slow client would hold a body of its own.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import get_ident
from typing import Any, Generic, TypeVar

from otel_obs.host import forks
from otel_obs.host.weak import WeakObjects

T = TypeVar("T")

BUSY = 0.005
"""Seconds between two checks by a waiting scrape whether its turn has come."""

AT_A_TIME = 4
"""How many answers, of different formats or families, are made at a time; of the same ones, one."""

PRESENT = 64
"""How many scrapes may run or wait; more are refused."""

LARGE_BYTES = 1_000_000
"""Smaller bodies are not shared with later requests."""

FRESH_S = 1.0
"""How long a large body that a client still holds is given to later requests."""
HELD = 4
STALE_S = 30.0
"""The same, where clients hold at least `HELD` large bodies already: memory matters more than age."""


@dataclass(frozen=True)  # Python 3.10 has no generic named tuples
class _HeldAnswer(Generic[T]):
    """A large answer whose body clients may still hold; weakly, so that only they keep it in memory."""

    at_s: float
    body: weakref.ref[list[bytes]]
    around: Callable[[list[bytes]], T]


class ScrapeTurn(Generic[T]):
    """One scrape: it makes the answer itself, or waits for another scrape that makes it."""

    def __init__(self, crowd: Crowd[T], key: Hashable) -> None:
        self._crowd, self._key = crowd, key
        self._flight: _Flight[T] | None = None
        self._is_alone = False

    @property
    def answer(self) -> T | None:
        """The answer, once a scrape has made it."""
        return self._flight.answer if self._flight is not None else None

    @property
    def is_mine(self) -> bool:
        """Whether this scrape is to make the answer now."""
        flight = self._flight
        # A signal handler that scrapes while its own thread makes an answer would wait for itself.
        if self._is_alone or self._crowd._is_within():
            self._is_alone = True
            return True
        if flight is None or (flight.is_over and flight.answer is None):
            flight = self._flight = self._crowd._join(self._key, self)
        if flight.runner is not self:
            return False
        flight.answer = flight.answer or self._crowd._held_by_others(self._key)
        return flight.answer is None and self._crowd._begin(self._key, flight)

    def done(self, answer: T, body: list[bytes], size_bytes: int, around: Callable[[list[bytes]], T]) -> None:
        """Give the answer to all scrapes that wait for it.

        Args:
            answer: The complete answer.
            body: The parts of its body.
            size_bytes: The size of the body.
            around: Makes the same answer from a body; must not hold *body* itself.
        """
        if self._flight is not None and not self._is_alone:
            self._flight.answer = answer
        if size_bytes >= LARGE_BYTES:
            self._crowd._note(self._key, _HeldAnswer(self._crowd._clock(), weakref.ref(body), around))

    def leave(self) -> None:
        """End this scrape; if it has made no answer, one of the waiting scrapes makes it."""
        flight = self._flight
        if flight is not None and flight.runner is self and not self._is_alone:
            flight.is_over = True  # the waiting scrapes see that there is no answer, and join another flight
            self._crowd._end(self._key, flight)


class _Flight(Generic[T]):
    """One answer, from its first request until it is made or given up."""

    def __init__(self, runner: ScrapeTurn[T]) -> None:
        self.runner = runner
        self.thread = get_ident()
        self.answer: T | None = None
        self.is_over = False


class Crowd(Generic[T]):
    """All scrapes of one page.

    There is no lock, since a signal handler that scrapes could interrupt its holder and wait for ever. Each
    step is one operation of a dictionary, such as `setdefault` or `pop`, which the interpreter makes atomic.

    Args:
        clock: Returns seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        _crowds.add(self)
        self.start_over()

    def start_over(self) -> None:
        """Forget all scrapes in a forked child: they are on threads of the parent."""
        self._present: dict[ScrapeTurn[T], None] = {}
        self._waiting: dict[Hashable, _Flight[T]] = {}
        self._running: dict[Hashable, _Flight[T]] = {}
        self._held: dict[Hashable, list[_HeldAnswer[T]]] = {}

    @property
    def is_full(self) -> bool:
        """Whether a further scrape is to be refused."""
        return len(self._present) >= PRESENT

    @contextmanager
    def enter(self, key: Hashable) -> Iterator[ScrapeTurn[T]]:
        """Take part, for the duration of the block, as a scrape that wants the answer named by *key*."""
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
            # Of several threads that come here at once, `setdefault` gives all the same flight.
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
            self._waiting.pop(key, None)  # requests from now on need an answer that is begun later
        return True

    def _end(self, key: Hashable, flight: _Flight[T]) -> None:
        for table in (self._running, self._waiting):
            if table.get(key) is flight:
                table.pop(key, None)

    def _note(self, key: Hashable, held: _HeldAnswer[T]) -> None:
        """Remember a large answer for as long as a client holds its body."""
        # A new dictionary, assigned whole: other threads may be reading the present one.
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
