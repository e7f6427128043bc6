"""Whose logger shows a line: ours where the application set logging up, else that of the server that runs it.

An application that sets up no logging shows nothing below a warning, while its server shows lines of its own.
"""

from __future__ import annotations

import logging

SERVERS = ("gunicorn.error", "uvicorn.error", "hypercorn.error", "_granian", "waitress", "werkzeug")
"""Loggers on which servers write lines such as where they listen."""

_logger = logging.getLogger("otel_obs")


def heard_logger(level: int) -> logging.Logger | None:
    """The first logger that shows a line of *level*, ours before the servers'; None where none does.

    No logger is made and no level is changed. Where somebody gave ours a level that is too high, there is
    none: that is how one asks for silence.
    """
    if _logger.level > level:
        return None
    known = logging.Logger.manager.loggerDict
    loggers = [_logger, *(known.get(name) for name in SERVERS)]
    return next(
        (each for each in loggers if isinstance(each, logging.Logger) and _is_heard(each, level)), None
    )


def _is_heard(logger: logging.Logger, level: int) -> bool:
    """Whether a handler writes a line of *level*; one of the null handlers of libraries does not."""
    if not logger.isEnabledFor(level):
        return False
    at: logging.Logger | None = logger
    while at is not None:
        if any(each.level <= level and not isinstance(each, logging.NullHandler) for each in at.handlers):
            return True
        at = at.parent if at.propagate else None
    return False
