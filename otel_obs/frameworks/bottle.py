"""Measures Bottle, which leaves the matched route in the environ."""

from __future__ import annotations

from typing import Any

from otel_obs.http.exclusion import Exclusion
from otel_obs.http.faces import MeasuredWith, WsgiFace
from otel_obs.http.observe import Observer
from otel_obs.http.routes import Served, wsgi_sources
from otel_obs.serving.scrape import Scrape

_SERVED = "otel_obs.bottle"
_PLACE = ("SCRIPT_NAME", "PATH_INFO", "RAW_URI", "REQUEST_URI")

_faces: list[WsgiFace] = []


def instrument_app(
    app: Any, observer: Observer, scrape: Scrape | None = None, *, exclude: Exclusion | None = None
) -> bool:
    """Measure one application from its next request on; false where it is measured already."""
    watch()
    return _faces[0].measure(app, MeasuredWith(observer, scrape, exclude))


def install(observer: Observer, scrape: Scrape | None = None, *, exclude: Exclusion | None = None) -> None:
    """Measure every application."""
    watch()
    _faces[0].measure_all(MeasuredWith(observer, scrape, exclude))


def uninstall() -> None:
    """Stop measuring, and put the original method back."""
    while _faces:
        _faces.pop().restore()
        wsgi_sources.remove(_served)


def watch() -> None:
    """Report the routes that Bottle matches to the request's middleware, of whichever framework."""
    if not _faces:
        from bottle import Bottle

        _faces.append(WsgiFace(Bottle, _declares))
        _faces[0].change()
        wsgi_sources.append(_served)


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
