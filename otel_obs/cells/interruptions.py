"""Errors that are not ours although they pass through us: those that an application's signal handler raises.

Python runs signal handlers between two steps of whatever runs, recording included. A handler that raises,
as celery's does at a soft time limit, means its application: to take that for a failure of ours would have
the application miss it.
"""

from __future__ import annotations

import contextlib
import functools
import signal
from types import CodeType, FrameType, TracebackType
from typing import Any


def is_interruption(error: BaseException) -> bool:
    """Whether *error*, which was caught here, was raised by a signal handler in the middle of our work."""
    trace = error.__traceback__
    # The first entry is whoever asks.
    trace = trace and trace.tb_next
    if trace is None:
        return False
    codes = _codes_of_handlers()
    while trace is not None:
        if trace.tb_frame.f_code in codes or _is_called_as_handler(trace.tb_frame):
            return True
        trace = trace.tb_next
    return False


def raise_interruption(error: BaseException) -> None:
    """Raise *error* again, which was caught here, if `is_interruption`."""
    if is_interruption(error):
        raise error


class tolerate(contextlib.suppress):
    """`contextlib.suppress`, but of our own errors only: a `TimeoutError` is an `OSError`."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Suppress *error*, if it is one of those that were named, and is ours."""
        is_named = bool(super().__exit__(kind, error, trace))
        return is_named and error is not None and not is_interruption(error)


def _is_called_as_handler(frame: FrameType) -> bool:
    """Whether *frame* was given the frame that it interrupts: a handler may have uninstalled itself."""
    interrupted = frame.f_back
    return interrupted is not None and any(
        value is interrupted or (type(value) is tuple and any(each is interrupted for each in value))
        for value in frame.f_locals.values()
    )


def _codes_of_handlers() -> set[CodeType]:
    handlers = (signal.getsignal(number) for number in signal.valid_signals())
    return {code for handler in handlers if callable(handler) and (code := _code_of(handler)) is not None}


def _code_of(handler: Any) -> CodeType | None:
    """The code that a call of *handler* runs, if that is Python's."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    if not hasattr(handler, "__code__") and not hasattr(handler, "__func__"):
        handler = getattr(type(handler), "__call__", None)  # noqa: B004
    code = getattr(getattr(handler, "__func__", handler), "__code__", None)
    return code if isinstance(code, CodeType) else None
