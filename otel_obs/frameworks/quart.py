"""Measures Quart on ASGI, by the rules of its routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_obs.host.changes import Replacements
from otel_obs.http.faces import AsgiFace, Faces
from otel_obs.http.nesting import MARK

_changes = Replacements()


def uninstall() -> None:
    """Stop measuring, and put the original methods back."""
    if _faces.restore():
        from quart.signals import got_request_exception, got_websocket_exception

        got_request_exception.disconnect(_note_exception)
        got_websocket_exception.disconnect(_note_exception)
    _changes.undo()


def watch() -> None:
    """Report routes and exceptions of Quart to the request's middleware, of whichever framework."""
    from quart.app import Quart
    from quart.ctx import _BaseRequestWebsocketContext
    from quart.signals import got_request_exception, got_websocket_exception

    if _faces.add(AsgiFace(Quart, _declares)):
        _changes.make(_BaseRequestWebsocketContext, "match_request", _telling)
        got_request_exception.connect(_note_exception)
        got_websocket_exception.connect(_note_exception)


_faces = Faces(watch)
instrument_app, install = _faces.instrument_app, _faces.install


def _telling(match: Callable[..., Any]) -> Callable[..., Any]:
    def telling(self: Any) -> Any:
        result = match(self)
        scope = self.request_websocket.scope
        outer, rule = scope.get(MARK), self.request_websocket.url_rule
        if outer is not None and rule is not None and not outer.is_done:
            outer.match(scope, rule.rule)
        return result

    return telling


async def _note_exception(sender: Any, exception: BaseException, **_: Any) -> None:
    """Note the exception for which Quart answers with a 500 or closes a websocket."""
    from quart import has_websocket_context, request, websocket
    from werkzeug.exceptions import HTTPException

    scope: Any = websocket.scope if has_websocket_context() else request.scope
    outer = scope.get(MARK)
    if outer is not None and not outer.is_done and not isinstance(exception, HTTPException):
        outer.note_error(exception)


def _declares(app: Any, path: str) -> bool:
    """Whether the application has a rule of exactly *path*."""
    wanted = path.rstrip("/")
    return any(rule.rule.rstrip("/") == wanted for rule in app.url_map.iter_rules())
