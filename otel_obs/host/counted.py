"""Marks exceptions that were counted, so that the outer parts of the application do not count them again."""

from __future__ import annotations

import contextlib

_MARK = "_is_counted_by_otel_obs"


def note_counted(error: BaseException) -> None:
    """Note that *error* is counted, so that it is not counted again on its way out."""
    with contextlib.suppress(AttributeError, TypeError):  # an exception without room for it
        setattr(error, _MARK, True)


def was_counted(error: BaseException) -> bool:
    """Whether *error*, or all of a group of exceptions, is counted already; this takes the mark away."""
    inside: tuple[BaseException, ...] | None = getattr(error, "exceptions", None)
    if inside and isinstance(inside, tuple):
        # A list: `all` would stop at the first that is not counted, and leave the marks of the others.
        return all(list(map(was_counted, inside)))
    return vars(error).pop(_MARK, False) is True
