"""How a middleware finds out that an outer one measures the request, so that it is counted once."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Protocol

from opentelemetry.trace import Span

MARK = "otel_obs.exchange"
"""The key in a WSGI environ or ASGI scope under which the outermost middleware puts its `Outer`."""


class Outer(Protocol):
    """A request that an outer middleware measures; inner ones report to it."""

    is_done: bool
    """Whether the request has been recorded."""
    environ: Any
    """The environ that the innermost known WSGI middleware got; None in ASGI."""

    def note_error(self, error: BaseException) -> None:
        """Note an exception that a framework caught and answered with a 500."""

    def enter(self, environ: Mapping[str, Any]) -> None:
        """Note the environ with which a WSGI middleware inside was called."""

    def look(self) -> None:
        """Read the route of a WSGI application inside now, as it begins its answer: it forgets it later."""

    def match(self, carrier: Mapping[str, Any], template: str) -> None:
        """Note the route that an application inside has matched in the environ or scope that it got."""

    def route_in(self, scope: Any) -> None:
        """Note the scope in which an ASGI application inside matches its routes; it may be a copy."""

    def note_span(self, span: Span) -> None:
        """Note the request's span, in whose context the request is recorded (exemplars)."""


class AsgiOuter(Outer, Protocol):
    """An ASGI request that an outer middleware measures."""

    @property
    def path(self) -> str:
        """The path of the scope."""


class Settled:
    """Marks a request that is not measured, or is over, so that no inner middleware measures it either."""

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


SETTLED = Settled()
"""What takes the place of an exchange as soon as its request is over.

The server's objects have the environ or scope, and the exchange has the server's functions: where the mark
stayed, each request would be a cycle of references, with all that it holds, for the garbage collector.
"""

CURRENT: ContextVar[AsgiOuter | None] = ContextVar("otel_obs_exchange", default=None)
"""The ASGI request that this thread or task serves."""


def enclosing(environ: Mapping[str, Any]) -> Outer | None:
    """Find the ASGI request that a bridge has turned into this WSGI request, if it is measured.

    Only some bridges put the scope into the environ. For the others, `CURRENT` has the request, and the paths
    are compared: the context may have been copied to work on another request.
    """
    scope = environ.get("asgi.scope")
    if scope is not None:
        outer: Outer | None = scope.get(MARK)
        return outer
    current = CURRENT.get()
    if current is None or current.is_done:
        return None
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    # PEP 3333: an environ has the path's UTF-8 bytes, decoded as latin-1.
    return current if current.path.encode().decode("latin-1") == path else None
