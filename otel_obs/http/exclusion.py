"""Decides which requests are not measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

REMEMBERED = 1024

MAX_CHARACTERS = 2048
"""How much of a path or URL is searched: `.*/health`, and many other expressions, take quadratic time."""

Carrier = Mapping[str, Any]
"""A WSGI environ or an ASGI scope."""


class Exclusion:
    """Regular expressions that are searched in a request's path, and a function that is given the request.

    An expression that contains `://` is searched in the whole URL, as OpenTelemetry's instrumentations do
    with every expression. They are searched in its first `MAX_CHARACTERS` characters. Results for up to
    `REMEMBERED` paths are cached.

    Args:
        patterns: As in `OTEL_PYTHON_EXCLUDED_URLS`, already split at the commas.
        matches: Called with the WSGI environ or ASGI scope; true excludes the request.
    """

    def __init__(
        self, patterns: Iterable[str] = (), matches: Callable[[Carrier], bool] | None = None
    ) -> None:
        kept = [pattern for pattern in patterns if pattern]
        self._path = _compiled(pattern for pattern in kept if "://" not in pattern)
        self._url = _compiled(pattern for pattern in kept if "://" in pattern)
        self._matches = matches
        self._verdicts: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._path or self._url or self._matches)

    def covers(self, carrier: Carrier, path: str, url: Callable[[], str]) -> bool:
        """Tell whether the request is excluded.

        Args:
            carrier: The WSGI environ or ASGI scope.
            path: The request's path.
            url: Returns its whole URL; called only where an expression needs it.
        """
        if self._path and self._covers_path(path):
            return True
        if self._url and _is_found(self._url, url()):
            return True
        return self._matches is not None and bool(self._matches(carrier))

    def _covers_path(self, path: str) -> bool:
        path = path[:MAX_CHARACTERS]
        verdict = self._verdicts.get(path)
        if verdict is None:
            if len(self._verdicts) >= REMEMBERED:
                self._verdicts.clear()
            verdict = self._verdicts[path] = _is_found(self._path, path)
        return verdict


def _compiled(patterns: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    """Compile each pattern on its own: in one joined pattern, flags and group numbers would interfere."""
    return tuple(map(re.compile, patterns))


def _is_found(patterns: tuple[re.Pattern[str], ...], text: str) -> bool:
    return any(pattern.search(text, 0, MAX_CHARACTERS) for pattern in patterns)
