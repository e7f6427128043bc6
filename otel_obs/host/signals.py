"""Exceptions that a signal handler of the application raises while our code runs.

Python runs signal handlers in the middle of whatever the main thread executes, recording included. The
exception of such a handler, such as celery's at a soft time limit, is meant for the application. If our error
handling swallowed it as a failure of ours, the application would miss it.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import signal
from collections.abc import Callable
from itertools import pairwise
from types import CodeType, FrameType, TracebackType
from typing import Any

_SIGNALS = frozenset(signal.valid_signals())


def interruption_of(error: BaseException) -> BaseException | None:
    """The exception of a signal handler that led to *error*, which the caller has caught; None if none did.

    It is *error* itself or in its chain of contexts: code that was interrupted may fail to clean up. An
    exception that the application was handling when it called us does not count.
    """
    frames: set[FrameType] = set()
    each: BaseException | None = error
    while each is not None:
        trace = each.__traceback__
        if trace is None or (frames and trace.tb_frame not in frames):
            return None
        frames.add(trace.tb_frame)  # it caught the exception, or was interrupted: no handler's frame
        while (trace := trace.tb_next) is not None:
            if _is_handlers(trace.tb_frame):
                return each
            frames.add(trace.tb_frame)
        each = each.__context__
    return None


def raise_interruption(error: BaseException) -> None:
    """Raise the exception of a signal handler that led to *error*, which the caller has caught, if any."""
    interruption = interruption_of(error)
    if interruption is not None:
        raise interruption


def complete(change: Callable[[], object]) -> None:
    """Make a change that must not be left half done, although a signal handler may raise in the middle of it.

    Args:
        change: Called again then, before the exception goes on; it must not do twice what it has done.
    """
    try:
        change()
    except BaseException:
        change()
        raise


class tolerate(contextlib.suppress):
    """`contextlib.suppress`, except for signal handlers' exceptions: their `TimeoutError` is an `OSError`."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Suppress *error* if it is of a named type, and no signal handler led to it."""
        if error is not None:
            raise_interruption(error)
        return bool(super().__exit__(kind, error, trace))


def _is_handlers(frame: FrameType) -> bool:
    """Whether *frame* is that of a signal handler: of one that is installed, or was called as one."""
    return frame.f_code in _codes_of_handlers() or _is_called_as_handler(frame)


def _is_called_as_handler(frame: FrameType) -> bool:
    """Whether *frame* was given a signal and the frame that it interrupts: it may have uninstalled itself.

    The caller's frame alone proves nothing: any function that inspects the stack may have it.
    """
    interrupted, code = frame.f_back, frame.f_code
    if interrupted is None:
        return False
    found = frame.f_locals
    given = [found.get(name) for name in code.co_varnames[: code.co_argcount]]
    if code.co_flags & inspect.CO_VARARGS:
        rest = found.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount])
        given.extend(rest if type(rest) is tuple else ())
    return any(
        after is interrupted and isinstance(before, int) and before in _SIGNALS
        for before, after in pairwise(given)
    )


def _codes_of_handlers() -> set[CodeType]:
    handlers = map(signal.getsignal, _SIGNALS)
    return {code for handler in handlers if callable(handler) and (code := _code_of(handler)) is not None}


def _code_of(handler: Any) -> CodeType | None:
    """The code that a call of *handler* runs, if that is Python's."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    if not hasattr(handler, "__code__") and not hasattr(handler, "__func__"):
        handler = getattr(type(handler), "__call__", None)  # noqa: B004
    code = getattr(getattr(handler, "__func__", handler), "__code__", None)
    return code if isinstance(code, CodeType) else None
