"""Methods and functions of other packages that are replaced, and put back."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any


class Replacements:
    """Replaces attributes, each at most once, and keeps the originals."""

    def __init__(self) -> None:
        self._originals: dict[tuple[int, str], tuple[Any, Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._originals)

    def make(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Replace a method of a class, or a function of a module, by what *make* gives for it."""
        key = id(owner), name
        if key not in self._originals:
            original = owner.__dict__[name]
            self._originals[key] = owner, original
            setattr(owner, name, wraps(original)(make(original)))

    def undo(self) -> None:
        """Put everything back."""
        while self._originals:
            (_, name), (owner, original) = self._originals.popitem()
            setattr(owner, name, original)
