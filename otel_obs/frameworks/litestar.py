"""Measures Litestar on ASGI; it leaves the matched template in the scope."""

from __future__ import annotations

from typing import Any

from otel_obs.http.exclusion import Exclusion
from otel_obs.http.faces import AsgiFace, MeasuredWith
from otel_obs.http.nesting import MARK
from otel_obs.http.observe import Observer
from otel_obs.serving.scrape import Scrape

_faces: list[AsgiFace] = []


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


def watch() -> None:
    """Report the scope in which Litestar matches to the request's middleware, of whichever framework."""
    if not _faces:
        from litestar.app import Litestar

        _faces.append(AsgiFace(Litestar, _declares, _listen))
        _faces[0].change()


def _listen(app: Any) -> None:
    """Add a hook that Litestar calls with an exception before it answers with a 500."""
    app.after_exception.append(_note_exception)


async def _note_exception(error: Exception, scope: Any) -> None:
    outer = scope.get(MARK)
    is_answer = hasattr(error, "status_code")  # an HTTPException, of Litestar's or Starlette's
    if outer is not None and not outer.is_done and not is_answer:
        outer.note_error(error)


def _declares(app: Any, path: str) -> bool:
    """Whether the application has a route of exactly *path*."""
    wanted = path.rstrip("/")
    return any(route.path.rstrip("/") == wanted for route in app.routes)
