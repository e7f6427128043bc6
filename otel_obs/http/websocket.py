"""Measures websockets of ASGI applications, as connections and not as requests."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from time import perf_counter
from typing import Any

from opentelemetry.trace import Span

from otel_obs.http.asgi_types import AsgiMessage
from otel_obs.http.bound_instruments import nothing
from otel_obs.http.departure import comes_of_leaving, failed_in, was_cancelled
from otel_obs.http.nesting import MARK
from otel_obs.http.observe import Observer
from otel_obs.http.peer import asgi_has_left
from otel_obs.http.prefixes import asgi_prefix
from otel_obs.http.profiles import OTHER, Connection
from otel_obs.http.routes import asgi_route
from otel_obs.sdk.fused import RecordAmount

NO_STATUS, ABNORMAL, TOO_BIG, INTERNAL_ERROR = 1005, 1006, 1009, 1011
REJECTED = 403
"""The status with which a server answers a handshake that the application closes."""
_GONE: MutableMapping[str, Any] = {}
"""Replaces the scope when a connection is over."""


class Talk:
    """Records one websocket.

    Its close code is the first one that either side sent.

    Args:
        observer: Records it.
    """

    __slots__ = ("_accepted_s", "_observer", "_open", "received", "sent")

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._accepted_s = 0.0
        self._open: RecordAmount = nothing
        self.received: RecordAmount = nothing
        """Counts messages from the client."""
        self.sent: RecordAmount = nothing
        """Counts messages to the client."""

    @property
    def is_open(self) -> bool:
        """Whether the handshake was accepted."""
        return self._accepted_s > 0

    def open(self, connection: Callable[[], Connection]) -> None:
        """Record that the handshake was accepted."""
        try:
            opened = connection()
            self.received = self._observer.messages(opened, "in")
            self.sent = self._observer.messages(opened, "out")
            self._open = self._observer.websocket("websocket_open", opened)
            self._open(1)
        except Exception as error:
            self._observer.failed("the begin of a websocket", error)
        self._accepted_s = perf_counter()

    def end(self, connection: Callable[[str], Connection], code: str) -> None:
        """Record that the connection has ended, or was refused.

        Args:
            connection: Describes it, given the close code.
            code: The close code; "" where it is unknown.
        """
        try:
            if self._accepted_s:
                self._open(-1)
                duration = self._observer.websocket("websocket_duration", connection(""))
                duration(perf_counter() - self._accepted_s)
            self._observer.websocket("websocket_connections", connection(code or str(NO_STATUS)))(1)
        except Exception as error:
            self._observer.failed("the end of a websocket", error)


class WebSocket:
    """One websocket of an ASGI application.

    The close code of a refused handshake is the HTTP status. A code from the client is `_OTHER` unless the
    protocol defines it, so that clients cannot create any number of series.
    """

    environ: Any = None

    __slots__ = (
        "_code",
        "_error",
        "_has_left",
        "_observer",
        "_receive",
        "_routed",
        "_rule",
        "_scope",
        "_send",
        "_talk",
        "is_done",
    )

    def __init__(
        self,
        observer: Observer,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[AsgiMessage]],
        send: Callable[[AsgiMessage], Awaitable[None]],
    ) -> None:
        self._observer, self._receive, self._send = observer, receive, send
        self._scope = self._routed = scope
        self._talk = Talk(observer)
        self._code = ""
        self._rule: str | None = None
        self._error: BaseException | None = None
        self._has_left = False
        self.is_done = False
        scope[MARK] = self

    async def receive(self) -> AsgiMessage:
        """Return the client's next message to the application."""
        message = await self._receive()
        kind = message["type"]
        if kind == "websocket.receive":
            self._talk.received(1)
        elif kind == "websocket.disconnect":
            self._has_left = True
            self._code = self._code or client_code(message.get("code"))
        return message

    async def send(self, message: AsgiMessage) -> None:
        """Forward a message to the server."""
        kind = message["type"]
        if kind == "websocket.send":
            await self._send(message)
            self._talk.sent(1)
            return
        if kind == "websocket.close":
            is_open = self._talk.is_open
            self._code = self._code or (str(message.get("code", 1000)) if is_open else str(REJECTED))
        elif kind == "websocket.http.response.start":
            self._code = self._code or str(message["status"])
        await self._send(message)
        if kind == "websocket.accept":
            self._talk.open(self._connection)

    def returned(self) -> None:
        """Record that the application has returned; the server closes a connection that is still open."""
        error = self._error
        self._end("1000" if self._talk.is_open else str(REJECTED))
        if error is not None and not (comes_of_leaving(error) and self._has_left):
            self._observer.count_error(error)

    def fail(self, error: BaseException) -> None:
        """Record that the application raised, perhaps only as the client has disconnected."""
        if comes_of_leaving(error) and self._is_left(error):
            self._end(str(ABNORMAL))
            return
        self._code = ""
        self._end(str(INTERNAL_ERROR) if self._talk.is_open else "500")
        self._observer.count_error(error)

    def _is_left(self, error: BaseException) -> bool:
        if self._has_left or failed_in(self._send, error):
            return True
        left = asgi_has_left(self._receive, [])
        if left is None:
            return was_cancelled() if isinstance(error, CancelledError) else not isinstance(error, Exception)
        return left or (isinstance(error, CancelledError) and was_cancelled())

    def _end(self, code: str) -> None:
        self.is_done = True
        self._code = self._code or code
        self._talk.end(self._connection, self._code)
        self._scope = self._routed = _GONE
        self._error = None

    def note_error(self, error: BaseException) -> None:
        """Note an unhandled exception that the framework caught, before it closes the connection."""
        if not self.is_done:
            self._error = error

    def enter(self, environ: Mapping[str, Any]) -> None:
        """Do nothing: no WSGI application serves a websocket of ASGI."""

    def look(self) -> None:
        """Do nothing: no WSGI application serves a websocket of ASGI."""

    def match(self, carrier: Mapping[str, Any], template: str) -> None:
        """Note the route template that a framework reports, as it leaves none in the scope."""
        self._rule = template

    def route_in(self, scope: Any) -> None:
        """Note the scope, possibly a copy, in which a router inside matches."""
        if not self.is_done:
            self._routed = scope

    def note_span(self, span: Span) -> None:
        """Do nothing: a connection's span is still current when the connection is recorded."""

    def _connection(self, code: str = "") -> Connection:
        observer, scope = self._observer, self._routed
        prefix = asgi_prefix(scope, self._scope)
        route = asgi_route(scope, False, self._rule)
        if route is not None and prefix.mount:
            route = prefix.mount + route
        root = observer.root(prefix.root) if observer.has_root else ""
        return Connection(scope.get("scheme", "ws"), root, route, code)


def client_code(code: int | None) -> str:
    """The label of a close code that the client sent."""
    if code is None:
        return str(NO_STATUS)
    return str(code) if 1000 <= code <= 1015 else OTHER
