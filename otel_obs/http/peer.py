"""Asks a request's connection whether the client has disconnected, where the server gives access to it.

An application still answers a request whose client has gone; most servers discard the response silently.
"""

from __future__ import annotations

import _socket
import socket
import sys
from collections.abc import Mapping, MutableMapping
from enum import Enum
from typing import Any

from otel_obs.host.borrowed import borrowed_socket
from otel_obs.host.signals import raise_interruption, tolerate

PATIENCE_S = 0.05
"""Only requests that take longer are checked: a check costs system calls, and few clients leave sooner."""

_FLAGS = ("disconnected", "_closed")
"""The attributes of the object that owns `receive`, in uvicorn and gunicorn; hypercorn's is a queue (asyncio)
or a channel (trio)."""
_SOCKETS = ("gunicorn.socket", "werkzeug.socket")
_DISCONNECTS = frozenset({"http.disconnect", "websocket.disconnect"})
_SIOCOUTQ = 0x5411
"""Linux' request for the number of bytes that are not yet acknowledged, which `socket` has no name for."""
_QUIETLY = getattr(socket, "MSG_DONTWAIT", 0) | getattr(socket, "MSG_NOSIGNAL", 0)
_PEEK = socket.MSG_PEEK | getattr(socket, "MSG_DONTWAIT", 0)


class Peer(Enum):
    """The state of a client, as its connection shows it."""

    UNSEEN = 0
    """The server gives no access to the connection."""
    THERE = 1
    SILENT = 2
    """It has shut down its sending side: it has gone, or only waits for the answer. Sending that decides."""
    GONE = 3


def peer_of(environ: Mapping[str, Any], is_answered: bool = False) -> Peer:
    """Check the client of a WSGI request.

    Args:
        environ: The environ of the request.
        is_answered: Whether the whole response was sent. Then a client that has shut down its sending side
            counts as gone unless it has acknowledged the response.
    """
    for key in _SOCKETS:
        connection = environ.get(key)
        if connection is not None:
            return _look(connection, is_answered)
    return Peer.UNSEEN


def asgi_has_left(receive: Any, waiting: list[MutableMapping[str, Any]]) -> bool | None:
    """Whether the client of an ASGI request has gone; None where that cannot be seen.

    Args:
        receive: The server's callable; the object that it is bound to has the state.
        waiting: Gets messages that had to be taken from the server's queue; the application must receive
            them before any other.
    """
    owner = getattr(receive, "__self__", None)
    for flag in _FLAGS:
        left = getattr(owner, flag, None)
        if isinstance(left, bool):
            return left
    take = getattr(owner, "get_nowait", None) or getattr(owner, "receive_nowait", None)
    if take is None:
        return None
    with tolerate(Exception):  # each library has its own exception for an empty queue
        while True:
            waiting.append(take())
    return any(message["type"] in _DISCONNECTS for message in waiting)


def _look(connection: Any, is_answered: bool) -> Peer:
    """Peek at the connection, through a plain socket object on the same file descriptor.

    The server's own object may be gevent's, whose `recv` waits, or TLS's, which refuses to peek.
    """
    if _PEEK == socket.MSG_PEEK:
        return Peer.UNSEEN
    try:
        # The descriptor is the server's.
        with borrowed_socket(connection.fileno()) as view:
            return _seen(view, is_answered)
    except (OSError, ValueError, AttributeError) as error:
        raise_interruption(error)
        return Peer.UNSEEN


def _seen(view: _socket.socket, is_answered: bool) -> Peer:
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
    except ConnectionError as error:
        raise_interruption(error)
        return Peer.GONE


def _is_reset(view: _socket.socket) -> bool:
    """Whether the client has reset the connection: the kernel then refuses even to send no bytes."""
    try:
        view.send(b"", _QUIETLY)
    except BlockingIOError:
        return False
    except OSError as error:
        raise_interruption(error)
        return True
    return False


def _has_unacknowledged(view: _socket.socket) -> bool:
    """Whether bytes of the answer are not acknowledged yet; false where the system is not Linux."""
    if sys.platform != "linux":
        return False
    import fcntl

    waiting = fcntl.ioctl(view.fileno(), _SIOCOUTQ, b"\0\0\0\0")
    return int.from_bytes(waiting, sys.byteorder) > 0
