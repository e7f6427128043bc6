"""Raises in the middle of what otel_obs does, at every place where Python calls signal handlers."""

from __future__ import annotations

import dis
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import otel_obs

PACKAGE = os.path.dirname(otel_obs.__file__) + os.sep
STEPS = ("CALL", "JUMP_BACKWARD", "JUMP_ABSOLUTE", "RESUME", "SEND")
"""How the names of the instructions begin after which the interpreter looks for signals."""


class LateError(BaseException):
    """What a signal handler of an application raises."""


class Interruption:
    """Counts the places where a handler may be called, and raises at one of them.

    Args:
        number: At which one, from 1.
        within: Parts of the package that count, as paths; all where there are none.
    """

    def __init__(self, number: int, within: tuple[str, ...] = ()) -> None:
        self._number = number
        self._within = tuple(PACKAGE + part for part in within) or (PACKAGE,)
        self.steps = 0
        self.where = ""
        self._last: dict[FrameType, int] = {}

    def trace(self, frame: FrameType, event: str, arg: Any) -> Callable[..., Any] | None:
        """Follow the frames of otel_obs."""
        if not frame.f_code.co_filename.startswith(self._within):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            self._look(frame)
        elif event == "return":
            self._last.pop(frame, None)
        return self.trace

    def forget(self) -> None:
        """Let go of the frames."""
        self._last.clear()

    def _look(self, frame: FrameType) -> None:
        last = self._last.get(frame, -1)
        self._last[frame] = frame.f_lasti
        if last >= 0 and dis.opname[frame.f_code.co_code[last]].startswith(STEPS):
            self.steps += 1
            if self.steps == self._number:
                self.where = f"{frame.f_code.co_filename.removeprefix(PACKAGE)}:{frame.f_lineno}"
                raise LateError


kept: list[LateError] = []
"""An application may keep what it has caught, and with it the frames in which it was raised."""


@contextmanager
def interrupted(number: int, *within: str) -> Iterator[Interruption]:
    """Raise at place *number* of the block; the exception ends here."""
    interruption = Interruption(number, within)
    before = sys.gettrace()
    sys.settrace(interruption.trace)
    try:
        yield interruption
    except LateError as error:
        kept.append(error)
    finally:
        sys.settrace(before)
        interruption.forget()
