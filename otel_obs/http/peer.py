"""Tell whether the client has gone, where the server lets us look.

A response that nobody waits for is still produced, and most servers throw it away without a word.
"""

from __future__ import annotations

import _socket
import socket
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any

PATIENCE_S = 0.05
"""A client is not looked after that waited for a shorter time: looking costs microseconds."""

_FLAGS = ("disconnected", "_closed")
"""What uvicorn's and gunicorn's owners of `receive` call it; hypercorn's is a queue, or trio's channel."""
_SOCKETS = ("gunicorn.socket", "werkzeug.socket")
_PEEK = socket.MSG_PEEK | getattr(socket, "MSG_DONTWAIT", 0)


def has_left(environ: Mapping[str, Any]) -> bool:
    """Whether the client of a WSGI request has closed its connection; False where that cannot be seen."""
    for key in _SOCKETS:
        connection = environ.get(key)
        if connection is not None:
            return _is_closed(connection)
    return False


def asgi_has_left(receive: Any, waiting: list[MutableMapping[str, Any]]) -> bool:
    """Whether the client of an ASGI request has gone; False where that cannot be seen.

    Args:
        receive: The server's callable: its owner knows.
        waiting: Takes what had to be received to find out; give it to the application before anything else.
    """
    owner = getattr(receive, "__self__", None)
    for flag in _FLAGS:
        left = getattr(owner, flag, None)
        if isinstance(left, bool):
            return left
    take = getattr(owner, "get_nowait", None) or getattr(owner, "receive_nowait", None)
    if take is not None:
        with suppress(Exception):  # each has an exception of its own for "nothing there"
            while True:
                waiting.append(take())
    return any(message["type"] == "http.disconnect" for message in waiting)


def _is_closed(connection: Any) -> bool:
    """Peek through a socket of our own on the same descriptor: gevent's would wait, TLS's would refuse."""
    if _PEEK == socket.MSG_PEEK:
        return False
    try:
        view = _socket.socket(fileno=connection.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    try:
        return not view.recv(1, _PEEK)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    except OSError:
        return False
    finally:
        view.detach()
