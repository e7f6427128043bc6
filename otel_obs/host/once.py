"""Log lines that are written once: repeated at every request, scrape or second they say nothing new."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable

from otel_obs.host.proc import digest
from otel_obs.host.signals import raise_interruption
from otel_obs.host.weak import WeakObjects

_logger = logging.getLogger("otel_obs")

_MOST = 2000
_all: WeakObjects[LogOnce] = WeakObjects()


class _OfService:
    """Tells whether this process is to log a line of the service; None where there is no service."""

    claim: Callable[[str], bool] | None = None


def share_lines(claim: Callable[[str], bool] | None) -> None:
    """Have lines that concern a whole service logged by one of its processes.

    Args:
        claim: Claims a mark; true if no other process has claimed it. None where there are no others.
    """
    _OfService.claim = claim


def forget_everything() -> None:
    """Log everything again if it comes back, so that a test does not depend on those before it."""
    for each in _all.living():
        each.forget_all()


class LogOnce:
    """Logs once for each key. Never raises, though a logging handler of the application may.

    A problem that comes back after it was solved is logged again after `forget`. Beyond 2,000 keys nothing
    more is logged: so many are one problem under ever new keys.
    """

    def __init__(self) -> None:
        self._said: dict[Hashable, object] = {}
        _all.add(self)

    def warning(
        self, key: Hashable, message: str, *arguments: object, error: BaseException | None = None
    ) -> None:
        """Log *message*, if nothing was logged for *key* yet.

        Args:
            key: What the line is about, without the details that change.
            message: As logging has it.
            arguments: For the message.
            error: Its traceback is logged too.
        """
        self._say(logging.WARNING, key, message, arguments, error)

    def warning_of_service(self, key: str, message: str) -> None:
        """Log *message*, if no process of the service has logged anything for *key* yet."""
        if key in self._said:
            return
        claim = _OfService.claim
        mark = digest(key)
        if claim is None or claim(f"{mark}.said"):
            self.warning(key, "%s", message)
        elif len(self._said) < _MOST:
            self._said[key] = None

    def error(
        self, key: Hashable, message: str, *arguments: object, error: BaseException | None = None
    ) -> None:
        """Log *message* as an error, if nothing was logged for *key* yet; see `warning`."""
        self._say(logging.ERROR, key, message, arguments, error)

    def forget(self, key: Hashable) -> None:
        """Log again for *key* if it comes back."""
        self._said.pop(key, None)

    def forget_all(self) -> None:
        """Log again for every key if it comes back."""
        self._said.clear()

    def _say(
        self,
        level: int,
        key: Hashable,
        message: str,
        arguments: tuple[object, ...],
        error: BaseException | None,
    ) -> None:
        mark = object()
        # Marked in one step before it is logged: a logging handler or another thread may call this meanwhile.
        if len(self._said) >= _MOST or self._said.setdefault(key, mark) is not mark:
            return
        try:
            _logger.log(level, message, *arguments, exc_info=error)
        except Exception as failure:
            raise_interruption(failure)
