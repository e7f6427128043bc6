"""Measure a websocket: a connection, not a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from time import perf_counter
from typing import Any

from opentelemetry.trace import Span

from otel_obs.http.departure import is_departure
from otel_obs.http.instruments import Record, nothing
from otel_obs.http.naming import OTHER, Connection
from otel_obs.http.nesting import MARK
from otel_obs.http.observe import Observer
from otel_obs.http.routes import asgi_route

Message = MutableMapping[str, Any]

NO_STATUS, ABNORMAL, INTERNAL_ERROR = 1005, 1006, 1011
REJECTED = 403
"""What a server answers to a handshake that the application closes."""


class WebSocket:
    """One connection.

    Its close code is the one that was sent first, by either side; for a handshake that was refused it is the
    HTTP status. A code that only the client chose is `_OTHER` unless the protocol defines it.
    """

    environ: Any = None

    __slots__ = (
        "_accepted_s",
        "_code",
        "_in",
        "_observer",
        "_open",
        "_out",
        "_receive",
        "_scope",
        "_send",
        "is_done",
    )

    def __init__(
        self,
        observer: Observer,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self._observer, self._scope, self._receive, self._send = observer, scope, receive, send
        self._accepted_s = 0.0
        self._code = ""
        self._open: Record = nothing
        self._in: Record = nothing
        self._out: Record = nothing
        self.is_done = False
        scope[MARK] = self

    async def receive(self) -> Message:
        """Pass the client's messages on."""
        message = await self._receive()
        kind = message["type"]
        if kind == "websocket.receive":
            self._in(1)
        elif kind == "websocket.disconnect":
            self._code = self._code or client_code(message.get("code"))
        return message

    async def send(self, message: Message) -> None:
        """Pass the application's messages on."""
        kind = message["type"]
        if kind == "websocket.send":
            await self._send(message)
            self._out(1)
            return
        if kind == "websocket.close":
            self._code = self._code or (str(message.get("code", 1000)) if self._accepted_s else str(REJECTED))
        elif kind == "websocket.http.response.start":
            self._code = self._code or str(message["status"])
        await self._send(message)
        if kind == "websocket.accept":
            self._accept()

    def _accept(self) -> None:
        try:
            connection = self._connection()
            self._in = self._observer.messages(connection, "in")
            self._out = self._observer.messages(connection, "out")
            self._open = self._observer.websocket("websocket_open", connection)
            self._open(1)
        except Exception as error:
            self._observer.failed("the begin of a websocket", error)
        self._accepted_s = perf_counter()

    def returned(self) -> None:
        """The application has returned; the server closes what it left open."""
        self._end("1000" if self._accepted_s else str(REJECTED))

    def fail(self, error: BaseException) -> None:
        """The application raised."""
        if is_departure(error):
            self._end(str(ABNORMAL))
            return
        self._code = ""
        self._end(str(INTERNAL_ERROR) if self._accepted_s else "500")
        self._observer.count_error(error)

    def _end(self, code: str) -> None:
        self.is_done = True
        try:
            if self._accepted_s:
                self._open(-1)
                duration = self._observer.websocket("websocket_duration", self._connection())
                duration(perf_counter() - self._accepted_s)
            self._observer.websocket("websocket_connections", self._connection(self._code or code))(1)
        except Exception as error:
            self._observer.failed("the end of a websocket", error)

    def note_error(self, error: BaseException) -> None:
        """Do nothing."""

    def enter(self, environ: Mapping[str, Any]) -> None:
        """Do nothing: no WSGI application serves a websocket."""

    def match(self, environ: Mapping[str, Any]) -> None:
        """Do nothing: no WSGI application serves a websocket."""

    def note_span(self, span: Span) -> None:
        """Do nothing: the span of a connection is still the current one when it ends."""

    def _connection(self, code: str = "") -> Connection:
        observer, scope = self._observer, self._scope
        root = observer.root(scope) if observer.has_root else ""
        return Connection(scope.get("scheme", "ws"), root, asgi_route(scope), code)


def client_code(code: int | None) -> str:
    """The label of a close code that the client sent."""
    if code is None:
        return str(NO_STATUS)
    return str(code) if 1000 <= code <= 1015 else OTHER
