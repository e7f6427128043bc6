"""Inspects WSGI requests, and response bodies: in memory, a file, or a stream."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otel_obs.http.observe import SERVER_ERROR

CODES: dict[str, int] = {}
"""Status lines and their numbers: a lookup is cheaper than parsing."""

_MOST_CODES = 500


def status_code(status: str) -> int:
    """Parse a WSGI status line, and add it to `CODES`."""
    try:
        code = int(status[:3])
    except (TypeError, ValueError):
        return SERVER_ERROR
    if len(CODES) < _MOST_CODES:
        CODES[status] = code
    return code


def in_memory(result: Any) -> Sequence[bytes] | None:
    """The body, if it is complete in memory: then its iterator need not be wrapped to see its end.

    Werkzeug returns an iterator whose last callback is the `close` of the response object.
    """
    kind = type(result)
    if kind is not list and kind is not tuple:
        try:
            result = result._callbacks[-1].__self__.response
        except (AttributeError, LookupError):
            return None
        kind = type(result)
    return result if kind is list or kind is tuple else None


def is_file(result: object, file_wrapper: Any) -> bool:
    """Whether *result* came from the server's `wsgi.file_wrapper`, a class or (uWSGI) a function."""
    return isinstance(result, file_wrapper) if isinstance(file_wrapper, type) else hasattr(result, "read")


def ended_with(file: Any, end: Callable[[BaseException | None], None]) -> bool:
    """Have a file's `close` call *end*, with the exception that kept the server from sending it, if any.

    Returns:
        False where the object's `close` cannot be replaced.
    """
    close = getattr(file, "close", None)
    attributes = getattr(file, "__dict__", {})
    had_its_own = "close" in attributes

    def close_and_end() -> None:
        failure = sys.exc_info()[1]
        try:
            if close is not None:
                close()
        finally:
            # What is there refers to the file, and the file to it.
            if had_its_own:
                attributes["close"] = close
            else:
                attributes.pop("close", None)
            end(failure)

    try:
        file.close = close_and_end
    except (AttributeError, TypeError):
        return False
    return True


def declared_request_bytes(environ: Mapping[str, Any]) -> int | None:
    """The request's Content-Length; None where there is none or it is no number."""
    length = environ.get("CONTENT_LENGTH") or ""
    return int(length) if length.isdecimal() else None


def asks_for_websocket(environ: Mapping[str, Any]) -> bool:
    """Whether the client asks to upgrade the connection to a websocket."""
    return bool(environ.get("HTTP_UPGRADE", "").lower() == "websocket")
