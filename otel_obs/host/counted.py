"""Exceptions that are counted already, by the part of the application that they were raised in."""

from __future__ import annotations

import contextlib

_MARK = "_is_counted_by_otel_obs"


def note_counted(error: BaseException) -> None:
    """Note that *error* is counted, so that nobody counts it again on its way out."""
    with contextlib.suppress(AttributeError, TypeError):  # an exception without room for it
        setattr(error, _MARK, True)


def was_counted(error: BaseException) -> bool:
    """Whether *error*, or all of a group of exceptions, is counted already; it is not any more after that."""
    inside: tuple[BaseException, ...] | None = getattr(error, "exceptions", None)
    if inside and isinstance(inside, tuple):
        return all(list(map(was_counted, inside)))
    return vars(error).pop(_MARK, False) is True
