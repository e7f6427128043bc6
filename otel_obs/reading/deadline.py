"""HTTP answers that have to be there by a deadline, however slowly they come.

The timeout of a socket holds for each read alone: who sends a byte within each never ends.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any

Connecting = Callable[..., http.client.HTTPConnection]


def deadline_handlers(timeout_s: float) -> list[urllib.request.BaseHandler]:
    """Handlers for `build_opener`: all that they read has to be there within *timeout_s* from now."""
    deadline_s = time.monotonic() + timeout_s
    return [_TimedHTTPHandler(deadline_s), _TimedHTTPSHandler(deadline_s)]


class _TimedHTTPHandler(urllib.request.HTTPHandler):
    def __init__(self, deadline_s: float) -> None:
        super().__init__()
        self._deadline_s = deadline_s

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_connecting(http.client.HTTPConnection, self._deadline_s), req)


class _TimedHTTPSHandler(urllib.request.HTTPSHandler):
    def __init__(self, deadline_s: float) -> None:
        super().__init__()
        self._deadline_s = deadline_s

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_connecting(http.client.HTTPSConnection, self._deadline_s), req)


def _connecting(kind: Connecting, deadline_s: float) -> Any:
    def connect(*arguments: Any, **options: Any) -> http.client.HTTPConnection:
        connection = kind(*arguments, **options)
        # Called like the class that it stands for, once for each answer.
        connection.response_class = partial(_TimedResponse, deadline_s=deadline_s)  # type: ignore[assignment]
        return connection

    return connect


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, deadline_s: float, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        # The reader is new, so nothing is in its buffer that would be lost.
        self.fp = io.BufferedReader(_TimedReads(sock, self.fp, deadline_s))


class _TimedReads(io.RawIOBase):
    """Reads of a socket, each with the time that is left until the deadline."""

    def __init__(self, sock: socket.socket, reader: io.BufferedReader, deadline_s: float) -> None:
        super().__init__()
        self._socket, self._reader, self._deadline_s = sock, reader, deadline_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the deadline has passed")
        self._socket.settimeout(left_s)
        return self._reader.readinto1(buffer)

    def close(self) -> None:
        # The socket is open until its reader is closed.
        self._reader.close()
        super().close()
