"""Long work in pieces: beside an event loop, whoever does it rests between them.

What reads all series holds the interpreter's lock for longer than a loop may wait. It says `breathe()` after
each piece of about a millisecond, on whatever thread it runs; only a thread that serves a loop rests there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AT_ONCE = 250
"""So many series are a piece."""


class _Processor(threading.local):
    rest: Callable[[], None] | None = None


_pace = _Processor()


def breathe() -> None:
    """Let others run, where this thread is one that rests."""
    rest = _pace.rest
    if rest is not None:
        rest()


@contextmanager
def resting(rest: Callable[[], None]) -> Iterator[None]:
    """Have this thread call *rest* between pieces of work."""
    before, _pace.rest = _pace.rest, rest
    try:
        yield
    finally:
        _pace.rest = before


def pieces(count: int, at_once: int = AT_ONCE) -> Iterator[slice]:
    """The pieces of *count* series, with a breath after each."""
    for start in range(0, count, at_once):
        yield slice(start, start + at_once)
        breathe()
