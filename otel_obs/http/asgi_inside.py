"""An ASGI application behind a WSGI server: the outer WSGI middleware measures the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Span

from otel_obs.http.asgi_types import AsgiMessage, AsgiReceive, AsgiScope, AsgiSend
from otel_obs.http.nesting import MARK, Outer
from otel_obs.http.prefixes import asgi_prefix
from otel_obs.http.routes import asgi_route, wsgi_sources

ENVIRON = "wsgi_environ"
"""The key under which a2wsgi puts the environ into the scope that it makes from it."""


def begin_inside(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> InsideWsgi | None:
    """Tell an outer middleware, if any, that the request has reached an application inside.

    Returns:
        An exchange that reports to an outer WSGI middleware; None where the outer one is an ASGI middleware,
        or there is none.
    """
    outer = scope.get(MARK)
    if outer is not None:
        outer.route_in(scope)
        return None
    return inside_wsgi(scope, receive, send) if ENVIRON in scope else None


def inside_wsgi(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> InsideWsgi | None:
    """Make an exchange that reports to the outer WSGI middleware; None where none measures."""
    environ = scope.get(ENVIRON)
    outer: Outer | None = environ.get(MARK) if environ else None
    return None if outer is None or environ is None else InsideWsgi(outer, environ, scope, receive, send)


class InsideWsgi:
    """Reports the matched route to the outer request when the response begins, and exceptions."""

    is_done = False
    environ: Any = None

    def __init__(
        self, outer: Outer, environ: Mapping[str, Any], scope: AsgiScope, receive: AsgiReceive, send: AsgiSend
    ) -> None:
        self._outer, self._environ, self._send = outer, environ, send
        self._scope = self._routed = scope
        self._rule: str | None = None
        self._has_wsgi = False
        self.receive = receive
        scope[MARK] = self

    async def send(self, message: AsgiMessage) -> None:
        """Forward a message to the server."""
        if message["type"] == "http.response.start":
            self._tell()
        await self._send(message)

    def fail(self, error: BaseException) -> None:
        """Note that the application raised."""
        self._tell()
        if isinstance(error, Exception):
            self._outer.note_error(error)

    def returned(self) -> None:
        """Do nothing: the outer WSGI middleware sees the answer itself."""

    def route_in(self, scope: Any) -> None:
        """Note the scope, possibly a copy, in which a router inside matches."""
        self._routed = scope

    def note_error(self, error: BaseException) -> None:
        """Pass it to the outer request."""
        self._outer.note_error(error)

    def enter(self, environ: Mapping[str, Any]) -> None:
        """Note that a WSGI application serves the rest of the path."""
        self._has_wsgi, self.environ = True, environ

    def look(self) -> None:
        """Read the route of a WSGI application inside, which it forgets after its answer."""
        for source in wsgi_sources:
            served = source(self)
            if served is not None:
                self._rule = served[1]

    def match(self, carrier: Mapping[str, Any], template: str) -> None:
        """Note the route template that a framework reports."""
        self._rule = template

    def note_span(self, span: Span) -> None:
        """Pass it to the outer request."""
        self._outer.note_span(span)

    def _tell(self) -> None:
        route = asgi_route(self._routed, self._has_wsgi, self._rule)
        if route is not None:
            self._outer.match(self._environ, asgi_prefix(self._routed, self._scope).mount + route)
