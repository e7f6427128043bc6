"""Tell whether the client has gone, where the server lets us look.

A response that nobody waits for is still produced, and most servers throw it away without a word.
"""

from __future__ import annotations

import _socket
import socket
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from enum import Enum
from typing import Any

PATIENCE_S = 0.05
"""A client is not looked after that waited for a shorter time: looking costs microseconds."""

_FLAGS = ("disconnected", "_closed")
"""What uvicorn's and gunicorn's owners of `receive` call it; hypercorn's is a queue, or trio's channel."""
_SOCKETS = ("gunicorn.socket", "werkzeug.socket")
_DISCONNECTS = frozenset({"http.disconnect", "websocket.disconnect"})
_SIOCOUTQ = 0x5411
_QUIETLY = getattr(socket, "MSG_DONTWAIT", 0) | getattr(socket, "MSG_NOSIGNAL", 0)
_PEEK = socket.MSG_PEEK | getattr(socket, "MSG_DONTWAIT", 0)


class Peer(Enum):
    """What a WSGI request's connection says of its client."""

    UNSEEN = 0
    """The server does not let us look."""
    THERE = 1
    SILENT = 2
    """It will send no more: it has gone, or it only waits for its answer. The answer will tell."""
    GONE = 3


def peer_of(environ: Mapping[str, Any], is_answered: bool = False) -> Peer:
    """Look at the client of a WSGI request.

    Args:
        environ: The request's.
        is_answered: Whether all of the response was sent: then a client that is silent has acknowledged it,
            or it is gone.
    """
    for key in _SOCKETS:
        connection = environ.get(key)
        if connection is not None:
            return _look(connection, is_answered)
    return Peer.UNSEEN


def asgi_has_left(receive: Any, waiting: list[MutableMapping[str, Any]]) -> bool | None:
    """Whether the client of an ASGI request has gone; None where that cannot be seen.

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
    if take is None:
        return None
    with suppress(Exception):  # each has an exception of its own for "nothing there"
        while True:
            waiting.append(take())
    return any(message["type"] in _DISCONNECTS for message in waiting)


def _look(connection: Any, is_answered: bool) -> Peer:
    """Peek through a socket of our own on the same descriptor: gevent's would wait, TLS's would refuse."""
    if _PEEK == socket.MSG_PEEK:
        return Peer.UNSEEN
    try:
        view = _socket.socket(fileno=connection.fileno())
    except (OSError, ValueError, AttributeError):
        return Peer.UNSEEN
    try:
        if view.recv(1, _PEEK):
            return Peer.THERE
        if _is_reset(view):
            return Peer.GONE
        if not is_answered:
            return Peer.SILENT
        return Peer.GONE if _has_unacknowledged(view) else Peer.THERE
    except BlockingIOError:
        return Peer.THERE
    except ConnectionError:
        return Peer.GONE
    except OSError:
        return Peer.UNSEEN
    finally:
        view.detach()


def _is_reset(view: _socket.socket) -> bool:
    """Send nothing: the system refuses even that where the other side will not read."""
    try:
        view.send(b"", _QUIETLY)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


def _has_unacknowledged(view: _socket.socket) -> bool:
    """Whether bytes of the answer wait to be acknowledged; nothing tells where the system is not Linux."""
    if sys.platform != "linux":
        return False
    import fcntl

    waiting = fcntl.ioctl(view.fileno(), _SIOCOUTQ, b"\0\0\0\0")
    return int.from_bytes(waiting, sys.byteorder) > 0
