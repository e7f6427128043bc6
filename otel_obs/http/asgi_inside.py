"""An ASGI application that serves a request of a WSGI server: the WSGI layer around has counted it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Span

from otel_obs.http.asgi_types import AsgiMessage, AsgiReceive, AsgiScope, AsgiSend
from otel_obs.http.nesting import MARK, Outer
from otel_obs.http.prefixes import asgi_prefix
from otel_obs.http.routes import asgi_route, wsgi_sources

ENVIRON = "wsgi_environ"
"""Where a2wsgi puts the environ into the scope that it makes of it."""


def begin_inside(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> InsideWsgi | None:
    """Tell a layer around that an application is reached which is not measured by itself.

    Returns:
        What tells the WSGI layer around; None where the layer is ASGI's, or there is none.
    """
    outer = scope.get(MARK)
    if outer is not None:
        outer.route_in(scope)
        return None
    return inside_wsgi(scope, receive, send) if ENVIRON in scope else None


def inside_wsgi(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> InsideWsgi | None:
    """What tells the WSGI layer around; None where there is none that measures."""
    environ = scope.get(ENVIRON)
    outer: Outer | None = environ.get(MARK) if environ else None
    return None if outer is None or environ is None else InsideWsgi(outer, environ, scope, receive, send)


class InsideWsgi:
    """Tells the outer request what was matched, as soon as the response begins, and what went wrong."""

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
        """Pass the application's messages on."""
        if message["type"] == "http.response.start":
            self._tell()
        await self._send(message)

    def fail(self, error: BaseException) -> None:
        """The application raised."""
        self._tell()
        if isinstance(error, Exception):
            self._outer.note_error(error)

    def returned(self) -> None:
        """Do nothing: the WSGI side sees what was answered."""

    def route_in(self, scope: Any) -> None:
        """A router inside matches in this scope, which may be a copy."""
        self._routed = scope

    def note_error(self, error: BaseException) -> None:
        """Tell the outer request."""
        self._outer.note_error(error)

    def enter(self, environ: Mapping[str, Any]) -> None:
        """A WSGI application serves the rest of the path."""
        self._has_wsgi, self.environ = True, environ

    def look(self) -> None:
        """A WSGI application inside answers, and still knows what it has matched."""
        for source in wsgi_sources:
            served = source(self)
            if served is not None:
                self._rule = served[1]

    def match(self, carrier: Mapping[str, Any], template: str) -> None:
        """A framework has told what it matched."""
        self._rule = template

    def note_span(self, span: Span) -> None:
        """Tell the outer request."""
        self._outer.note_span(span)

    def _tell(self) -> None:
        route = asgi_route(self._routed, self._has_wsgi, self._rule)
        if route is not None:
            self._outer.match(self._environ, asgi_prefix(self._routed, self._scope).mount + route)
