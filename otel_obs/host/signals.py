"""Errors that are not ours although they pass through us: those that an application's signal handler raises.

Python runs signal handlers between two steps of whatever runs, recording included. A handler that raises,
as celery's does at a soft time limit, means its application: to take that for a failure of ours would have
the application miss it.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import signal
from itertools import pairwise
from types import CodeType, FrameType, TracebackType
from typing import Any

_SIGNALS = frozenset(signal.valid_signals())


def interruption_of(error: BaseException) -> BaseException | None:
    """What a signal handler raised in the middle of our work, if *error*, which was caught here, came of it.

    It is *error* itself, or what was handled when that was raised: code that is ended in the middle may fail
    to clean up. What the application itself is handling while it calls us is neither.
    """
    frames: set[FrameType] = set()
    each: BaseException | None = error
    while each is not None:
        trace = each.__traceback__
        if trace is None or (frames and trace.tb_frame not in frames):
            return None
        frames.add(trace.tb_frame)  # the one that has caught it, or that was under way: it is no handler's
        while (trace := trace.tb_next) is not None:
            if _is_handlers(trace.tb_frame):
                return each
            frames.add(trace.tb_frame)
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


def _is_handlers(frame: FrameType) -> bool:
    """Whether *frame* is that of a signal handler: of one that is installed, or was called as one."""
    return frame.f_code in _codes_of_handlers() or _is_called_as_handler(frame)


def _is_called_as_handler(frame: FrameType) -> bool:
    """Whether *frame* was given a signal and the frame that it interrupts: it may have uninstalled itself.

    To have its caller's frame means nothing: whoever looks at the stack has that.
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
