"""Measures Falcon, on WSGI and ASGI, by the templates of its routes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from otel_obs.host.changes import Replacements
from otel_obs.http.faces import AsgiFace, Faces, WsgiFace
from otel_obs.http.nesting import MARK

_changes = Replacements()


def uninstall() -> None:
    """Stop measuring, and put the original methods back."""
    _faces.restore()
    _changes.undo()


def watch() -> None:
    """Report routes and exceptions of Falcon to the request's middleware, of whichever framework."""
    wsgi, asgi = sys.modules.get("falcon.app"), sys.modules.get("falcon.asgi.app")
    if wsgi is not None and _faces.add(WsgiFace(wsgi.App, _declares)):
        _changes.make(wsgi.App, "_get_responder", _telling)
        _changes.make(wsgi.App, "_handle_exception", _noting)
    if asgi is not None and _faces.add(AsgiFace(asgi.App, _declares)):
        _changes.make(asgi.App, "_handle_exception", _noting)


_faces = Faces(watch)
instrument_app, install = _faces.instrument_app, _faces.install


def _carrier(request: Any) -> Any:
    """The scope of an ASGI request, whose environ is no real one; else the environ."""
    return getattr(request, "scope", None) or getattr(request, "env", None) or {}


def _telling(get_responder: Callable[..., Any]) -> Callable[..., Any]:
    def telling(self: Any, request: Any) -> Any:
        found = get_responder(self, request)
        carrier, template = _carrier(request), found[3]
        outer = carrier.get(MARK)
        if outer is not None and template is not None and not outer.is_done:
            outer.match(carrier, template)
        return found

    return telling


def _noting(handle: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the method of either class; the coroutine of the ASGI one is returned to be awaited."""

    def noting(self: Any, req: Any, resp: Any, ex: BaseException, params: Any, **options: Any) -> Any:
        from falcon import HTTPError, HTTPStatus

        outer = _carrier(req).get(MARK)
        if outer is not None and not outer.is_done and not isinstance(ex, (HTTPError, HTTPStatus)):
            outer.note_error(ex)
        return handle(self, req, resp, ex, params, **options)

    return noting


def _declares(app: Any, path: str) -> bool:
    """Whether the application has a route of exactly *path*."""
    found = app._router.find(path)
    return found is not None and found[3] == path
