"""Long work in pieces, with rests in between where an event loop runs beside it.

Code that goes over all series would hold the GIL for longer than an event loop may wait. It calls `breathe()`
after each piece of about a millisecond; only on a thread within `resting` does that do anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AT_ONCE = 250
"""The series of one piece."""


class _Processor(threading.local):
    rest: Callable[[], None] | None = None


_pace = _Processor()


def breathe() -> None:
    """Let other threads run, if this thread is within `resting`."""
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
    """Slices of *count* series, with a call of `breathe` after each."""
    for start in range(0, count, at_once):
        yield slice(start, min(start + at_once, count))
        breathe()
