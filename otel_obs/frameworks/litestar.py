"""Measures Litestar on ASGI; it leaves the matched template in the scope."""

from __future__ import annotations

from typing import Any

from otel_obs.http.faces import AsgiFace, Faces
from otel_obs.http.nesting import MARK


def uninstall() -> None:
    """Stop measuring, and put the original method back."""
    _faces.restore()


def watch() -> None:
    """Report the scope in which Litestar matches to the request's middleware, of whichever framework."""
    from litestar.app import Litestar

    _faces.add(AsgiFace(Litestar, _declares, _listen))


_faces = Faces(watch)
instrument_app, install = _faces.instrument_app, _faces.install


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
