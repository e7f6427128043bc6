"""Measures one WSGI request and its response."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, detach
from opentelemetry.trace import Span, set_span_in_context

from otel_obs.http import wsgi_body as body
from otel_obs.http.bound_instruments import OutcomeHandles
from otel_obs.http.departure import comes_of_leaving
from otel_obs.http.nesting import MARK, SETTLED
from otel_obs.http.observe import CLIENT_CLOSED_REQUEST, REDIRECTION, SERVER_ERROR, Observer, type_name
from otel_obs.http.peer import PATIENCE_S, Peer, peer_of
from otel_obs.http.prefixes import wsgi_prefix
from otel_obs.http.profiles import Connection, Outcome
from otel_obs.http.routes import wsgi_sources
from otel_obs.http.sizes import CountingInput, declared_bytes
from otel_obs.http.wsgi_websocket import UNSEEN, ConnectionEnd, WsgiTalk

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_GONE: WSGIEnvironment = {}
"""Replaces the environ when a request is over."""
_WITHOUT_BODY = frozenset({204, 304})


class WsgiExchange:
    """One request and its response; the server may get it as the response's iterable (`attach`)."""

    # Class attributes are the defaults of fields that few requests set: `begin` is on the hot path.
    is_done = is_special = False
    _is_silent = _is_whole = False
    upgraded: ConnectionEnd | None = None
    """The ending of a websocket that the server has accepted before it called the application."""
    talk: WsgiTalk | None = None
    """The websocket that the request has become, if any."""
    _span: Span | None = None
    _error: BaseException | None = None
    route: str | None = None
    _root = ""
    _headers: list[tuple[str, str]] = []  # noqa: RUF012
    _status = _sent_bytes = 0
    _first_byte_s = 0.0
    _input: CountingInput | None = None
    _outermost: WSGIEnvironment | None = None
    """The environ with the mark, where middleware inside was called with another."""
    _result: Iterable[bytes] = ()

    def begin(self, observer: Observer, environ: WSGIEnvironment, start_response: StartResponse) -> None:
        """Begin to measure. A method, not `__init__`: calling that through `type.__call__` is slower."""
        self._observer = observer
        self.environ = environ
        self._start_response = start_response
        method = environ["REQUEST_METHOD"]
        if observer.names_connection:
            key = method, environ["wsgi.url_scheme"], environ.get("SERVER_PROTOCOL", "")
            entry = observer.entries.get(key) or observer.entry(*key)
        else:
            entry = observer.entries.get(method) or observer.entry(method)
        self._entry = entry
        if not observer.is_plain:
            self.is_special = True
            if observer.has_sizes and not environ.get("CONTENT_LENGTH"):  # uWSGI's is "" where there is none
                self._input = environ["wsgi.input"] = CountingInput(environ["wsgi.input"])
        environ[MARK] = self
        self._active = entry.active
        entry.begin(1.0)
        self._started_s = perf_counter()

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """Note the status, the headers and the route, and call the server's `start_response`."""
        self._status = body.CODES.get(status) or body.status_code(status)
        self._headers = headers
        for source in wsgi_sources:
            served = source(self)
            if served is not None:
                environ, self.route = served
                if environ.get("SCRIPT_NAME"):
                    self.match(environ, served[1])
        if exc_info is not None:
            self.note_error(exc_info[1])
            return self._start_response(status, headers, exc_info)
        write = self._start_response(status, headers)
        if not self.is_special:
            return write

        def counting(data: bytes) -> object:
            self._sent_bytes += len(data)
            return write(data)

        return counting

    def accept(self, ending: ConnectionEnd) -> WsgiTalk | None:
        """Turn the request into a websocket; it is not counted as an HTTP request.

        Returns:
            The websocket; None where the request is over or a websocket already.
        """
        if self.is_done or self.talk is not None:
            return None
        self.look()
        self.is_special = True
        self._active(-1.0)
        talk = self.talk = WsgiTalk(self._observer, ending)
        if self.upgraded is None or self._status < REDIRECTION:
            talk.open(self._connection)
        return talk

    def _connection(self, code: str = "") -> Connection:
        scheme = "wss" if self._entry.scheme == "https" else "ws"
        return Connection(scheme, self._root, self.route, code)

    def note_error(self, error: BaseException) -> None:
        """Note an exception, to be counted at the end; ASGI applications raise it after their 500."""
        if self.is_done and self._status >= SERVER_ERROR:
            self._observer.count_error(error)
        elif not self.is_done:
            self._error, self.is_special = error, True

    def enter(self, environ: Any) -> None:
        """Note the environ, possibly a copy, with which a middleware inside was called."""
        if not self.is_done:
            self._outermost = self._outermost or self.environ
            self.environ = environ

    def look(self) -> None:
        """Note the route while the framework still knows it."""
        for source in wsgi_sources:
            served = source(self)
            if served is not None:
                self.match(*served)

    def match(self, carrier: Mapping[str, Any], template: str) -> None:
        """Note the route that an application inside has matched in its environ *carrier*."""
        if self.is_done:
            return
        prefix = wsgi_prefix(carrier)
        self.route = prefix.mount + template
        if prefix.root and self._observer.has_root:
            self._root = self._observer.root(prefix.root)
            self.is_special = True

    def route_in(self, scope: Any) -> None:
        """Do nothing: an ASGI application inside reports its route by `match`."""

    def note_span(self, span: Span) -> None:
        """Note the request's span, for exemplars: it ends before the request is recorded."""
        self._span = span

    def finish_in_memory(self, result: Any) -> bool:
        """Record a usual request the short way: body in memory, nothing special, outcome in the cache.

        Returns:
            False for any other request; then nothing was recorded.
        """
        elapsed_s = perf_counter() - self._started_s
        try:
            handles = self._entry.handles[self.route, self._status]
            if (
                type(result._callbacks[-1].__self__.response) is not list
                or elapsed_s > PATIENCE_S
                or self.is_special
                or handles.active is not self._active
            ):
                return False
        except (AttributeError, LookupError):
            return False
        self.is_done = True
        (self._outermost or self.environ)[MARK] = SETTLED
        self.environ = _GONE
        handles.end(elapsed_s, self._span)
        return True

    def attach(self, result: Iterable[bytes]) -> Iterable[bytes]:
        """Return the iterable for the server: *result* itself where its end need not be seen."""
        try:
            is_open = self.talk is not None or self.upgraded is not None or not self._status
            if is_open or self._is_waited_for_in_silence():
                self._result = result
                return self
            if self._status in _WITHOUT_BODY or (self._status and self._entry.method == "HEAD"):
                self._end(0)
                return result
            parts = body.in_memory(result)
            if parts is not None:
                if self._observer.has_sizes:
                    self._sent_bytes += sum(map(len, parts))
                self._end(0)
                return result
            file_wrapper = self.environ.get("wsgi.file_wrapper")
            if file_wrapper is not None and body.is_file(result, file_wrapper):
                return self._attach_file(result)
        except Exception as error:
            self._observer.failed("the response", error)
        self._result = result
        return self

    def _is_waited_for_in_silence(self) -> bool:
        """Whether only sending the answer shows if the client is there; then it is recorded after that."""
        is_long = perf_counter() - self._started_s > PATIENCE_S
        self._is_silent = is_long and peer_of(self.environ) is Peer.SILENT
        return self._is_silent

    def _attach_file(self, file: Any) -> Iterable[bytes]:
        """Return the file itself, so that the server can use sendfile; its `close` marks the end."""
        self._sent_bytes = declared_bytes(self._headers) or 0
        self._first_byte_s = perf_counter()
        if not body.ended_with(file, self._end_answered):
            self._end(0)
        result: Iterable[bytes] = file
        return result

    def __iter__(self) -> Iterator[bytes]:
        declared: int | None = None
        try:
            for chunk in self._result:
                size = len(chunk)
                if size and not self._sent_bytes:
                    declared = declared_bytes(self._headers)
                    if size != declared:
                        self._first_byte_s = perf_counter()
                self._sent_bytes += size
                if self._sent_bytes == declared and not self._is_waited_for_in_silence():
                    # Complete: servers and test clients may not read on beyond the declared length.
                    self._end(0)
                yield chunk
        except GeneratorExit:
            self._end(CLIENT_CLOSED_REQUEST)
            raise
        except BaseException as error:
            self.fail(error)
            raise
        self._is_whole = True
        if not self._is_silent:
            self._end(0)

    def close(self) -> None:
        """Close the response, and record it if it was not: its rest will not be sent."""
        if not self._status and self.talk is None and body.asks_for_websocket(self.environ):
            # An upgrade without a response: an unknown package talks to the client.
            self.accept(UNSEEN)
        try:
            close = getattr(self._result, "close", None)
            if close is not None:
                close()
        finally:
            self._result = ()
            if self._is_whole and self._is_silent:
                self._end_answered(sys.exc_info()[1])
            else:
                self._end(CLIENT_CLOSED_REQUEST)

    def _end_answered(self, failure: BaseException | None) -> None:
        """Record a response that the server has sent, or tried to: the connection shows if it arrived."""
        if self.is_done:
            return
        peer = peer_of(self.environ, is_answered=True)
        has_failed = isinstance(failure, OSError) and peer is not Peer.THERE
        self._end(CLIENT_CLOSED_REQUEST if has_failed or peer is Peer.GONE else 0)

    def fail(self, error: BaseException) -> None:
        """Record that the application raised, perhaps only as the client has disconnected."""
        if isinstance(error, StopIteration) and not self._status and body.asks_for_websocket(self.environ):
            # An upgraded connection: raising StopIteration tells gunicorn not to answer.
            self.accept(UNSEEN)
        if self.talk is not None or self.upgraded is not None:
            if isinstance(error, Exception) and not isinstance(error, StopIteration):
                self._error = error
            self._end(0)
            return
        if comes_of_leaving(error) and self._has_left(error):
            self._end(CLIENT_CLOSED_REQUEST, type_name(error))
            return
        self._error = error
        self._end(SERVER_ERROR, type_name(error))

    def _has_left(self, error: BaseException) -> bool:
        """Whether the client has gone; if that cannot be seen, whether the server ended the request."""
        peer = peer_of(self.environ)
        return peer is Peer.GONE or (peer is not Peer.THERE and not isinstance(error, Exception))

    def _end(self, status: int, error_type: str = "") -> None:
        """Record the request, once. *status* is its outcome (499, 500), or 0 for the status that was sent."""
        if self.is_done:
            return
        if self.upgraded is not None:
            self.accept(self.upgraded)
        self.is_done = True
        if self.talk is not None:
            self.talk.finish(self._connection, self.environ, self._error, self._status)
            self._settle()
            return
        elapsed_s = perf_counter() - self._started_s
        self._active(-1.0)
        token = attach(set_span_in_context(self._span)) if self._span is not None else None
        try:
            observer, route = self._observer, self.route
            if not status and elapsed_s > PATIENCE_S and peer_of(self.environ, self._is_whole) is Peer.GONE:
                status = CLIENT_CLOSED_REQUEST
            if status or observer.extra is not None:
                handles = self._end_as(status, error_type, route, elapsed_s)
            else:
                # `finish_in_memory` looks up the short key only: no root, sizes or extra labels.
                is_short = observer.is_plain and not self._root
                key = (route, self._status) if is_short else (self._root, route, self._status)
                handles = observer.finish(self._entry, key, self._root, route, self._status, elapsed_s)
            if self._first_byte_s:
                handles.first_byte(self._first_byte_s - self._started_s)
            if observer.has_sizes:
                self._record_sizes(handles)
            if self._error is not None and (status or self._status) >= SERVER_ERROR:
                observer.count_error(self._error)
        except Exception as error:
            self._observer.failed("the end", error)
        finally:
            self._settle()
            if token is not None:
                detach(token)

    def _settle(self) -> None:
        """Let go of the environ and the exception, which both refer to the exchange."""
        (self._outermost or self.environ)[MARK] = SETTLED
        self.environ, self._outermost, self._error = _GONE, None, None

    def _end_as(self, status: int, error_type: str, route: str | None, elapsed_s: float) -> OutcomeHandles:
        observer, entry = self._observer, self._entry
        if status == CLIENT_CLOSED_REQUEST and not error_type:
            error_type = "ConnectionError"
        # An exception before any response makes the server answer 500.
        sent = self._status or (SERVER_ERROR if status == SERVER_ERROR else None)
        came_to = status or self._status
        extra = observer.extra_values(self.environ, came_to, self._headers)
        outcome = Outcome(
            entry.method, entry.scheme, entry.version, self._root, route, came_to, sent, error_type
        )
        return observer.finish_as(entry, outcome, elapsed_s, extra)

    def _record_sizes(self, handles: OutcomeHandles) -> None:
        handles.response_size(self._sent_bytes)
        size = body.declared_request_bytes(self.environ) if self._input is None else self._input.bytes or None
        if size is not None:
            handles.request_size(size)
