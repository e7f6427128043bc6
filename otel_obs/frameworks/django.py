"""Measures Django's WSGI and ASGI handlers, by the templates of `urlpatterns`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from otel_obs.host.changes import Replacements
from otel_obs.http.faces import AsgiFace, Faces, WsgiFace
from otel_obs.http.nesting import MARK

MOST_TEMPLATES = 4096

_changes = Replacements()


def uninstall() -> None:
    """Stop measuring, and put the original methods back."""
    _faces.restore()
    _changes.undo()
    signals = sys.modules.get("django.core.signals")
    if signals is not None:
        signals.got_request_exception.disconnect(_note_exception)


def watch() -> None:
    """Report routes and exceptions of Django to the request's middleware, of whichever framework."""
    wsgi, asgi = (sys.modules.get(f"django.core.handlers.{name}") for name in ("wsgi", "asgi"))
    if wsgi is not None:
        _faces.add(WsgiFace(wsgi.WSGIHandler, _declares))
    if asgi is not None:
        _faces.add(AsgiFace(asgi.ASGIHandler, _declares))
    if not _changes:
        from django.core.handlers.base import BaseHandler
        from django.core.signals import got_request_exception

        _changes.make(BaseHandler, "resolve_request", _telling)
        got_request_exception.connect(_note_exception)


_faces = Faces(watch)
instrument_app, install = _faces.instrument_app, _faces.install


def _telling(resolve: Callable[..., Any]) -> Callable[..., Any]:
    def telling(self: Any, request: Any) -> Any:
        match = resolve(self, request)
        carrier = _carrier(request)
        outer = carrier.get(MARK)
        if outer is not None and not outer.is_done:
            outer.match(carrier, template_of(match.route))
        return match

    return telling


def _note_exception(sender: Any, request: Any = None, **_: Any) -> None:
    """Note the exception of a 500: Django sends this signal while it is being handled."""
    outer = _carrier(request).get(MARK)
    error = sys.exc_info()[1]
    if outer is not None and not outer.is_done and error is not None:
        outer.note_error(error)


def _carrier(request: Any) -> Any:
    """The environ or scope of a request; a request made by a test may have neither."""
    return getattr(request, "environ", None) or getattr(request, "scope", None) or {}


def _declares(handler: Any, path: str) -> bool:
    """Whether `urlpatterns` has exactly *path*, and not a pattern that happens to match it."""
    from django.urls import Resolver404, get_resolver

    wanted = path.strip("/")
    for tried in (f"/{wanted}", f"/{wanted}/"):
        try:
            match = get_resolver().resolve(tried)
        except Resolver404:
            continue
        if template_of(match.route).strip("/") == wanted:
            return True
    return False


@lru_cache(MOST_TEMPLATES)
def template_of(route: str) -> str:
    """The template of a route that Django matched.

    Args:
        route: The patterns joined: those of `path` as they were written, those of `re_path` as expressions.

    Returns:
        A path: `/orders/<int:number>/`, and `/orders/<number>/` for `^orders/(?P<number>[0-9]+)/$`.
    """
    parts, position = ["/"], 0
    while position < len(route):
        character = route[position]
        if character == "(":
            end = _closing(route, position)
            parts.append(_name_of(route[position:end]))
            position = end
            if route[position : position + 1] in ("?", "*", "+"):
                position += 1
        elif character == "\\":
            escaped = route[position + 1 : position + 2]
            parts.append("" if escaped in ("A", "Z", "b", "B") else escaped)
            position += 2
        else:
            parts.append("" if character in "^$" else character)
            position += 1
    return "".join(parts)


def _closing(route: str, start: int) -> int:
    depth, position = 0, start
    while position < len(route):
        character = route[position]
        position += 2 if character == "\\" else 1
        depth += (character == "(") - (character == ")")
        if depth == 0:
            break
    return position


def _name_of(group: str) -> str:
    if group.startswith("(?P<"):
        return f"<{group[4 : group.index('>')]}>"
    if group.startswith("(?:"):
        return template_of(group[3:-1])[1:]
    return "" if group.startswith("(?") else "<var>"
