"""Tell what an exception has to do with a client that left.

Whether a client left is asked of its connection. Only when it has, the exception's kind tells whether it
comes of that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import CodeType, TracebackType
from typing import Any

_CONSEQUENCES = frozenset(
    {
        "CancelledError",  # asyncio
        "Cancelled",  # trio
        "GeneratorExit",
        "GreenletExit",  # gevent
        "ClientDisconnect",  # starlette
        "ConnectionClosed",  # simple-websocket
        "ClientDisconnected",  # uvicorn, werkzeug
        "WebSocketDisconnect",  # starlette
        "RequestAborted",  # django
    }
)


def comes_of_leaving(error: BaseException) -> bool:
    """Whether *error*, or all of a group of exceptions, comes of a client that is known to have left.

    A failing system call does. Other classes are known by their names, since none of the libraries that
    define them need be installed.
    """
    inside = _inside(error)
    if inside:
        return all(comes_of_leaving(each) for each in inside)
    if isinstance(error, OSError):
        return True
    return any(kind.__name__ in _CONSEQUENCES for kind in type(error).__mro__)


def was_cancelled() -> bool:
    """Whether this task is being cancelled: a `CancelledError` that leaked from elsewhere does not say so."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    cancelling = getattr(task, "cancelling", None)  # from Python 3.11 on
    return task is not None and (cancelling is None or cancelling() > 0)


def failed_in(function: Callable[..., Any], error: BaseException) -> bool:
    """Whether *error*, or all of a group of exceptions, was raised within *function*."""
    inside = _inside(error)
    if inside:
        return all(failed_in(function, each) for each in inside)
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code is not None and _passed(error.__traceback__, code)


def _passed(traceback: TracebackType | None, code: CodeType) -> bool:
    while traceback is not None:
        if traceback.tb_frame.f_code is code:
            return True
        traceback = traceback.tb_next
    return False


def _inside(error: BaseException) -> tuple[BaseException, ...]:
    inside = getattr(error, "exceptions", None)
    return inside if isinstance(inside, tuple) else ()
