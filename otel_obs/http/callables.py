"""Tell a WSGI application from an ASGI one by what it is, not by where its class comes from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any

WSGI_ARGUMENTS, ASGI_ARGUMENTS = 2, 3


class Protocol(Enum):
    """How a server calls an application."""

    WSGI = "wsgi"
    ASGI = "asgi"
    EITHER = "either"
    """It takes whatever it is given; the server's call will tell."""


def protocol_of(app: Any) -> Protocol | None:
    """How servers call *app*; None where it is no application."""
    if not callable(app) or inspect.isclass(app):
        return None
    is_coroutine = inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__)
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        return Protocol.ASGI if is_coroutine else Protocol.EITHER
    if is_coroutine:
        # One without arguments makes an application, as aiohttp's have it.
        return Protocol.ASGI if parameters else None
    positional = [each for each in parameters if each.kind in _POSITIONAL]
    needed = sum(each.default is each.empty for each in positional)
    if any(each.kind is each.VAR_POSITIONAL for each in parameters) and needed < WSGI_ARGUMENTS:
        return Protocol.EITHER
    if any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters):
        return None
    if needed == ASGI_ARGUMENTS:
        return Protocol.ASGI
    return Protocol.WSGI if needed == WSGI_ARGUMENTS else None


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Either:
    """An application whose protocol the server's call tells.

    Args:
        wsgi: What answers a call with two arguments.
        asgi: What answers one with three, or with a scope alone, as ASGI 2 had it.
    """

    def __init__(self, wsgi: Callable[..., Any], asgi: Callable[..., Any]) -> None:
        self._wsgi, self._asgi = wsgi, asgi

    def __call__(self, *given: Any) -> Any:
        """Serve one request."""
        if len(given) == WSGI_ARGUMENTS:
            return self._wsgi(*given)
        if len(given) == 1:
            return lambda receive, send: self._asgi(given[0], receive, send)
        return self._asgi(*given)
