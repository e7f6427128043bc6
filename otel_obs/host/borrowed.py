"""Sockets of other code, which are looked at and never closed."""

from __future__ import annotations

import _socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import starmap

_lent: dict[int, list[_socket.socket]] = {}
"""What is being looked at, so that nothing dies in the middle: a socket object closes its descriptor as it
dies, and a signal handler may raise right after it was made."""

_DETECT = -1


@contextmanager
def borrowed_socket(descriptor: int) -> Iterator[_socket.socket]:
    """A socket object on a *descriptor* that is not ours, for the duration of the block.

    No `dup`: a duplicate that a fork inherits in between would keep the socket open. And none of the class
    `socket.socket`, which gevent replaces, and whose constructor is in Python.

    Raises:
        OSError: It is no open socket.
    """
    views: list[_socket.socket] = []
    _lent[id(views)] = views
    try:
        # Made and stored within one call in C.
        views.extend(starmap(_socket.socket, ((_DETECT, _DETECT, _DETECT, descriptor),)))
        yield views[0]
    finally:
        for view in views:
            view.detach()
        del _lent[id(views)]
