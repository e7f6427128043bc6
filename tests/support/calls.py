"""Which Python functions run in a block."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_OTHERS = (__name__, "contextlib", "hypothesis.")
"""How the names of modules begin that do not count: this one, and those of hypothesis, which observes the
garbage collector."""


@contextmanager
def python_calls() -> Iterator[list[str]]:
    """Note the names of all functions that begin in the block, in this thread.

    A signal handler runs where Python code does. Where the interpreter swallows what is raised, as when an
    object dies, none may run.
    """
    called: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and not frame.f_globals["__name__"].startswith(_OTHERS):
            called.append(frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(before)
