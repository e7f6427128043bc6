"""Measures one ASGI request and its response."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Mapping
from time import perf_counter
from typing import Any

from opentelemetry.context import attach, detach
from opentelemetry.trace import Span, set_span_in_context

from otel_obs.http.asgi_types import AsgiMessage, AsgiReceive, AsgiScope, AsgiSend
from otel_obs.http.bound_instruments import OutcomeHandles
from otel_obs.http.departure import comes_of_leaving, failed_in, was_cancelled
from otel_obs.http.nesting import CURRENT, MARK
from otel_obs.http.observe import CLIENT_CLOSED_REQUEST, REDIRECTION, SERVER_ERROR, Observer, type_name
from otel_obs.http.peer import PATIENCE_S, asgi_has_left
from otel_obs.http.prefixes import asgi_prefix
from otel_obs.http.profiles import Outcome
from otel_obs.http.routes import asgi_route, match_again, wsgi_sources
from otel_obs.http.sizes import body_bytes, declared_bytes_raw

_NOT_STARTED: AsgiMessage = {"status": 0}
_GONE: AsgiScope = {}
"""Replaces the scope when a request is over."""


class AsgiExchange:
    """One request and its response."""

    # Class attributes are the defaults of fields that few requests set: `begin` is on the hot path.
    is_done = False
    environ: Any = None
    _error: BaseException | None = None
    _sent_bytes = _received_bytes = 0
    _first_byte_s = _stopped_s = 0.0
    _has_left = _has_wsgi = False
    _rule: str | None = None
    _waiting: list[AsgiMessage] | None = None

    def begin(self, observer: Observer, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Begin to measure. A method, not `__init__`: calling that through `type.__call__` is slower."""
        self._observer = observer
        self._scope = self._routed = scope
        self._receive = receive
        self._send = send
        self._start: AsgiMessage = _NOT_STARTED
        self.is_special = False
        self._span: Span | None = None
        if observer.names_connection:
            key = scope["method"], scope.get("scheme", "http"), scope.get("http_version", "")
            entry = observer.entries.get(key) or observer.entry(*key)
        else:
            entry = observer.entries.get(scope["method"]) or observer.entry(scope["method"])
        self._entry = entry
        scope[MARK] = self
        if observer.has_wsgi:
            CURRENT.set(self)
        self._active = entry.active
        entry.begin(1.0)
        self._started_s = perf_counter()

    @property
    def path(self) -> str:
        """The path of the scope."""
        path: str = self._scope["path"]
        return path

    def route_in(self, scope: AsgiScope) -> None:
        """Note the scope, possibly a copy, in which a router inside matches."""
        if not self.is_done:
            self._routed = scope
            if scope is not self._scope:
                self.is_special = True

    async def receive(self) -> AsgiMessage:
        """Return the client's next message to the application."""
        message = self._waiting.pop(0) if self._waiting else await self._receive()
        if message["type"] == "http.disconnect":
            if not self._stopped_s:  # after a whole response, servers send this to every application
                self._has_left = self.is_special = True
        else:
            self._received_bytes += len(message.get("body", b""))
        return message

    def send(self, message: AsgiMessage) -> Awaitable[None]:
        """Forward a message to the server.

        The request is recorded before its last message is sent, so that a client that has the whole answer
        finds it counted in the next scrape, of any worker.
        """
        kind = message["type"]
        if kind == "http.response.body":
            if message.get("more_body") or self._start.get("trailers"):
                return self._send_part(message)
            self._end_with(message)
        elif kind == "http.response.start":
            self._start = message
        elif kind == "http.response.zerocopysend" or kind == "http.response.pathsend":
            if message.get("more_body") or self._start.get("trailers"):
                return self._send_part(message)
            self.is_special = True
            self._end_with(message)
        elif kind == "http.response.trailers" and not message.get("more_trailers"):
            self._end_with(message)
        return self._send(message)

    async def _send_part(self, message: AsgiMessage) -> None:
        size = self._size_of(message)
        try:
            await self._send(message)
        except OSError:
            self._has_left = self.is_special = True
            raise
        if size and not self._sent_bytes and size != declared_bytes_raw(self._start.get("headers", ())):
            self._first_byte_s = perf_counter()
            self.is_special = True
        self._sent_bytes += size

    def _size_of(self, message: AsgiMessage) -> int:
        if message["type"] == "http.response.body":
            return len(message.get("body", b""))
        return body_bytes(message, declared_bytes_raw(self._start.get("headers", ())))

    def _end_with(self, message: AsgiMessage) -> None:
        """Record a usual request the short way: nothing special, and its outcome is in the cache.

        The key is the route object's id, so the route's template need not be computed.
        """
        elapsed_s = perf_counter() - self._started_s
        scope = self._routed
        included = scope.get("fastapi")
        route = (included.get("effective_route_context") if included else None) or scope.get("route")
        handles = self._entry.handles.get((id(route), self._start["status"]))
        if (
            handles is None
            or route is None
            or self.is_special
            or elapsed_s > PATIENCE_S
            or "app_root_path" in scope
            or handles.active is not self._active
        ):
            self._complete(message, elapsed_s)
            return
        self.is_done = True
        self._scope = self._routed = _GONE
        handles.end(elapsed_s, self._span)

    @property
    def _status(self) -> int:
        """The status that was sent; 0 where none was."""
        status: int = self._start["status"]
        return status

    def _look_for_client(self) -> None:
        """See whether the client has disconnected; one that has all the declared bytes may do so."""
        if not self._has_left:
            self._waiting = self._waiting or []
            if asgi_has_left(self._receive, self._waiting):
                has_all = self._sent_bytes and self._sent_bytes == declared_bytes_raw(
                    self._start.get("headers", ())
                )
                self._has_left = self.is_special = not has_all

    def _complete(self, message: AsgiMessage, elapsed_s: float) -> None:
        """Record the request, whose last byte is about to be sent; background tasks do not count."""
        if elapsed_s > PATIENCE_S:
            self._look_for_client()
        self._sent_bytes += self._size_of(message)
        if self._has_left:
            self._end(CLIENT_CLOSED_REQUEST)
        elif self._status >= SERVER_ERROR and self._observer.names_errors:
            if not self._stopped_s:
                # Starlette sends the 500 first and raises the exception after it: wait for its type.
                self._stopped_s = perf_counter()
                self._active(-1.0)
        else:
            self._end(0)

    def note_error(self, error: BaseException) -> None:
        """Note an exception, to be counted when the request ends."""
        if not self.is_done:  # an exception refers to the exchange, by its traceback
            self._error = error
            self.is_special = True

    def enter(self, environ: Mapping[str, Any]) -> None:
        """Note that a WSGI application serves the rest of the path."""
        if not self.is_done:
            self._has_wsgi = self.is_special = True
            self.environ = environ

    def look(self) -> None:
        """Read the route of a WSGI application inside, which it forgets after its answer."""
        for source in wsgi_sources:
            served = source(self)
            if served is not None:
                self._rule = served[1]

    def match(self, carrier: Mapping[str, Any], template: str) -> None:
        """Note the route template that a framework reports, as it leaves none in the scope."""
        self._rule = template
        self.is_special = True

    def note_span(self, span: Span) -> None:
        """Note the request's span, for exemplars: it may end before the request is recorded."""
        self._span = span

    def returned(self) -> None:
        """Note that the application has returned, with or without a complete response."""
        if self._stopped_s:
            self._end(0)
        elif self._has_left or asgi_has_left(self._receive, []):
            self._end(CLIENT_CLOSED_REQUEST)
        else:
            self._end(SERVER_ERROR, "RuntimeError")

    def fail(self, error: BaseException) -> None:
        """Note that the application raised."""
        if self.is_done:
            if self._status >= SERVER_ERROR:
                # Starlette raises after its 500; a client that had disconnected got no answer.
                is_error = not self._has_left
            else:
                # The last message could not be sent to a client that has gone: no error.
                is_error = not self._comes_of_leaving(error)
            if is_error:
                self._observer.count_error(error)
        elif not self._stopped_s and self._comes_of_leaving(error):
            self._end(CLIENT_CLOSED_REQUEST, type_name(error))
        else:
            self._error = error
            self._end(SERVER_ERROR, type_name(error))

    def _comes_of_leaving(self, error: BaseException) -> bool:
        """Whether *error* is only the consequence of a disconnect, which the connection must confirm."""
        if not comes_of_leaving(error):
            return False
        if self._has_left or failed_in(self._send, error):
            return True
        left = asgi_has_left(self._receive, [])
        if left is not None:
            return left
        return was_cancelled() if isinstance(error, CancelledError) else not isinstance(error, Exception)

    def _end(self, status: int, error_type: str = "") -> None:
        """Record the request, once. *status* is its outcome (499, 500), or 0 for the status that was sent."""
        if self.is_done:
            return
        self.is_done = True
        if self._stopped_s:
            elapsed_s = self._stopped_s - self._started_s
        else:
            elapsed_s = perf_counter() - self._started_s
            self._active(-1.0)
        token = None
        try:
            observer = self._observer
            route, root = self._place(status or self._status)
            if self._span is not None:
                token = attach(set_span_in_context(self._span))
            if status or observer.extra is not None:
                handles = self._end_as(status, error_type, root, route, elapsed_s)
            else:
                handles = self._finish(root, route, elapsed_s)
            if self._first_byte_s:
                handles.first_byte(self._first_byte_s - self._started_s)
            if observer.has_sizes:
                self._record_sizes(handles)
            if self._error is not None and (status or self._status) >= SERVER_ERROR:
                observer.count_error(self._error)
        except Exception as error:
            self._observer.failed("the end", error)
        finally:
            self._scope = self._routed = _GONE
            self.environ = self._error = None
            if token is not None:
                detach(token)

    def _place(self, status: int) -> tuple[str | None, str]:
        """The route template, including mounts of this process; and the root, if the profile names it."""
        scope = self._routed
        route = asgi_route(scope, self._has_wsgi, self._rule)
        if route is None and status < REDIRECTION:
            route = match_again(scope)
        if not scope.get("root_path"):
            return route, ""
        prefix = asgi_prefix(scope, self._scope)
        if prefix.mount:
            self.is_special = True
            route = route and prefix.mount + route
        return route, self._observer.root(prefix.root) if self._observer.has_root else ""

    def _finish(self, root: str, template: str | None, elapsed_s: float) -> OutcomeHandles:
        observer, scope = self._observer, self._routed
        included = scope.get("fastapi")
        route = (included.get("effective_route_context") if included else None) or scope.get("route")
        is_known_by_route = (
            observer.is_plain
            and route is not None
            and scope is self._scope
            and not root
            and self._rule is None
            and "path_template" not in scope
            and (self._status < SERVER_ERROR or not observer.names_errors)
            and "app_root_path" not in scope
            and getattr(route, "endpoint", None) is scope.get("endpoint")
        )
        key = (id(route), self._status) if is_known_by_route else (root, template, self._status)
        handles = observer.finish(self._entry, key, root, template, self._status, elapsed_s)
        handles.pinned = route
        return handles

    def _end_as(
        self, status: int, error_type: str, root: str, route: str | None, elapsed_s: float
    ) -> OutcomeHandles:
        observer, entry = self._observer, self._entry
        came_to, sent = status or self._status, self._status or None
        if status == CLIENT_CLOSED_REQUEST:
            error_type = error_type or "ConnectionError"
        elif status == SERVER_ERROR:
            # After an exception before any response, the server answers 500; an error handler may have sent
            # another status.
            sent = sent or SERVER_ERROR
            came_to = max(sent, SERVER_ERROR)
        extra = observer.extra_values(self._scope, came_to, self._start.get("headers", ()))
        outcome = Outcome(entry.method, entry.scheme, entry.version, root, route, came_to, sent, error_type)
        return observer.finish_as(entry, outcome, elapsed_s, extra)

    def _record_sizes(self, handles: OutcomeHandles) -> None:
        handles.response_size(0 if self._entry.method == "HEAD" else self._sent_bytes)
        declared = declared_bytes_raw(self._scope.get("headers", ()))
        if declared is not None:
            handles.request_size(declared)
        elif self._received_bytes:
            handles.request_size(self._received_bytes)
