"""Decides whether an exception is the consequence of a client that disconnected.

These functions judge the exception only. Whether the client has in fact gone, `peer` asks the connection.
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
    """Whether *error*, or every exception of a group, can be the consequence of a disconnect.

    Every `OSError` can. Other classes are compared by name, since the libraries that define them may not be
    installed.
    """
    inside = _inside(error)
    if inside:
        return all(comes_of_leaving(each) for each in inside)
    if isinstance(error, OSError):
        return True
    return any(kind.__name__ in _CONSEQUENCES for kind in type(error).__mro__)


def was_cancelled() -> bool:
    """Whether this task itself is being cancelled: a `CancelledError` may come from another task."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    cancelling = getattr(task, "cancelling", None)  # from Python 3.11 on
    return task is not None and (cancelling is None or cancelling() > 0)


def failed_in(function: Callable[..., Any], error: BaseException) -> bool:
    """Whether *error*, or every exception of a group, was raised within *function*, by its traceback."""
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
