"""Measures Bottle, which leaves the matched route in the environ."""

from __future__ import annotations

from typing import Any

from otel_obs.http.faces import Faces, WsgiFace
from otel_obs.http.routes import Served, wsgi_sources

_SERVED = "otel_obs.bottle"
_PLACE = ("SCRIPT_NAME", "PATH_INFO", "RAW_URI", "REQUEST_URI")


def uninstall() -> None:
    """Stop measuring, and put the original method back."""
    if _faces.restore():
        wsgi_sources.remove(_served)


def watch() -> None:
    """Report the routes that Bottle matches to the request's middleware, of whichever framework."""
    from bottle import Bottle

    if _faces.add(WsgiFace(Bottle, _declares)):
        wsgi_sources.append(_served)


_faces = Faces(watch)
instrument_app, install = _faces.instrument_app, _faces.install


def _served(outer: Any) -> Served | None:
    """The route that Bottle matched in the innermost environ."""
    environ = outer.environ
    route = environ.get("bottle.route") if environ else None
    if route is None:
        return None
    known = environ.get(_SERVED)
    if known is None or known[0] is not route:
        # Keep the present paths: a mounted application's route stays in the environ, while Bottle takes its
        # prefix out of SCRIPT_NAME again.
        place = {name: environ[name] for name in _PLACE if name in environ}
        known = environ[_SERVED] = route, (place, route.rule)
    served: Served = known[1]
    return served


def _declares(app: Any, path: str) -> bool:
    """Whether the application has a route of exactly *path*."""
    wanted = path.rstrip("/")
    return any(route.rule.rstrip("/") == wanted for route in app.routes)
