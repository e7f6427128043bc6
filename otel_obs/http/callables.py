"""Distinguishes WSGI from ASGI applications by the signature of their call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any

WSGI_ARGUMENTS, ASGI_ARGUMENTS = 2, 3


class ServerProtocol(Enum):
    """How a server calls an application."""

    WSGI = "wsgi"
    ASGI = "asgi"
    EITHER = "either"
    """The signature accepts both; the number of arguments in the server's call decides."""


def protocol_of(app: Any) -> ServerProtocol | None:
    """How servers call *app*; None where it is no application."""
    if not callable(app) or inspect.isclass(app):
        return None
    is_coroutine = inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__)
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        return ServerProtocol.ASGI if is_coroutine else ServerProtocol.EITHER
    if is_coroutine:
        # A coroutine function without parameters is a factory of an application, as of aiohttp.
        return ServerProtocol.ASGI if parameters else None
    positional = [each for each in parameters if each.kind in _POSITIONAL]
    needed = sum(each.default is each.empty for each in positional)
    if any(each.kind is each.VAR_POSITIONAL for each in parameters) and needed < WSGI_ARGUMENTS:
        return ServerProtocol.EITHER
    if any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters):
        return None
    if needed == ASGI_ARGUMENTS:
        return ServerProtocol.ASGI
    return ServerProtocol.WSGI if needed == WSGI_ARGUMENTS else None


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Either:
    """An application that chooses its protocol by the number of arguments in each call.

    Args:
        wsgi: Answers calls with two arguments.
        asgi: Answers calls with three, and with the scope alone (ASGI 2).
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
