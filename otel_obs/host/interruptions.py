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


def interruption_of(error: BaseException) -> BaseException | None:
    """What a signal handler raised in the middle of our work, if *error*, which was caught here, came of it.

    It is *error* itself, or what was handled when that was raised: code that is ended in the middle may fail
    to clean up. What the application itself is handling while it calls us is neither.
    """
    trace = error.__traceback__
    if trace is None or (trace.tb_next is None and error.__context__ is None):
        return None
    frames = {trace.tb_frame}
    codes = _codes_of_handlers()
    each: BaseException | None = error
    while each is not None:
        trace = each.__traceback__
        if trace is None or trace.tb_frame not in frames:
            return None
        while trace is not None:
            if trace.tb_frame.f_code in codes or _is_called_as_handler(trace.tb_frame):
                return each
            frames.add(trace.tb_frame)
            trace = trace.tb_next
        each = each.__context__
    return None


def raise_interruption(error: BaseException) -> None:
    """Raise what a signal handler raised, if *error*, which was caught here, came of it."""
    interruption = interruption_of(error)
    if interruption is not None:
        raise interruption


class tolerate(contextlib.suppress):
    """`contextlib.suppress`, but of our own errors only: a `TimeoutError` is an `OSError`."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Suppress *error*, if it is one of those that were named, and is ours."""
        if error is not None:
            raise_interruption(error)
        return bool(super().__exit__(kind, error, trace))


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
