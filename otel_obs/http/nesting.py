"""How one layer finds out that another already measures the request, so that it is counted once."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Protocol

from opentelemetry.trace import Span

MARK = "otel_obs.exchange"
"""The key in a WSGI environ or ASGI scope under which the outermost layer puts its `Outer`."""


class Outer(Protocol):
    """A request that an outer layer measures."""

    is_done: bool
    """Whether it has been recorded."""
    environ: Any
    """The environ that the innermost WSGI layer got, so far as this one knows; None in ASGI."""

    def note_error(self, error: BaseException) -> None:
        """Note what a framework caught and answered with a 500, where it says so."""

    def enter(self, environ: Mapping[str, Any]) -> None:
        """A WSGI layer inside has been reached, with this environ."""

    def look(self) -> None:
        """Note the route that a WSGI application inside has matched: it answers now, and still knows."""

    def match(self, carrier: Mapping[str, Any], template: str) -> None:
        """Note the route that an application inside has matched in the environ or scope that it got."""

    def route_in(self, scope: Any) -> None:
        """An ASGI layer inside matches its routes in this scope, which may be a copy of the server's."""

    def note_span(self, span: Span) -> None:
        """Note the request's span: what is recorded at the end is recorded in it."""


class AsgiOuter(Outer, Protocol):
    """An ASGI request that an outer layer measures."""

    @property
    def path(self) -> str:
        """The path of its scope."""


class Skipped:
    """Stands for a request that is not measured, so that no layer inside measures it either."""

    is_done = True
    environ: Any = None

    def note_error(self, error: BaseException) -> None:
        """Do nothing."""

    def enter(self, environ: Mapping[str, Any]) -> None:
        """Do nothing."""

    def look(self) -> None:
        """Do nothing."""

    def match(self, carrier: Mapping[str, Any], template: str) -> None:
        """Do nothing."""

    def route_in(self, scope: Any) -> None:
        """Do nothing."""

    def note_span(self, span: Span) -> None:
        """Do nothing."""


CURRENT: ContextVar[AsgiOuter | None] = ContextVar("otel_obs_exchange", default=None)
"""The ASGI request that this thread or task serves."""


def enclosing(environ: Mapping[str, Any]) -> Outer | None:
    """The request of an ASGI layer that this WSGI request is a part of: WSGI inside ASGI."""
    scope = environ.get("asgi.scope")
    if scope is not None:
        outer: Outer | None = scope.get(MARK)
        return outer
    current = CURRENT.get()
    if current is None or current.is_done:
        return None
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return current if current.path.encode().decode("latin-1") == path else None
