"""What is logged once: a line that comes with every request, scrape or second says nothing new."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Hashable
from weakref import WeakSet

from otel_obs.host.signals import raise_interruption

_logger = logging.getLogger("otel_obs")

_MOST = 2000
_all: WeakSet[LogOnce] = WeakSet()


class _OfService:
    """Asks whether a line is this process's to say; with no service there is nobody else."""

    claim: Callable[[str], bool] | None = None


def share(claim: Callable[[str], bool] | None) -> None:
    """Have lines of a whole service be said by one of its processes.

    Args:
        claim: Takes a mark, and tells whether no other process has taken it; None where there are none.
    """
    _OfService.claim = claim


def forget_everything() -> None:
    """Say everything again if it comes back: a test does not depend on those before it."""
    for each in list(_all):
        each.forget_all()


class LogOnce:
    """Logs each thing once. Never raises: a handler of the application may.

    What may come back after it was mended is said again after `forget`. Beyond 2,000 things nothing more is
    said: they are the same thing under ever new names.
    """

    def __init__(self) -> None:
        self._said: dict[Hashable, object] = {}
        _all.add(self)

    def warning(
        self, key: Hashable, message: str, *arguments: object, error: BaseException | None = None
    ) -> None:
        """Log *message*, if nothing was logged for *key* yet.

        Args:
            key: What the line is about, without what differs from time to time.
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
        mark = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
        if claim is None or claim(f"{mark}.said"):
            self.warning(key, "%s", message)
        elif len(self._said) < _MOST:
            self._said[key] = None

    def error(
        self, key: Hashable, message: str, *arguments: object, error: BaseException | None = None
    ) -> None:
        """The same as an error."""
        self._say(logging.ERROR, key, message, arguments, error)

    def forget(self, key: Hashable) -> None:
        """Say it again if it comes back."""
        self._said.pop(key, None)

    def forget_all(self) -> None:
        """Say anything again if it comes back."""
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
        # Before it is logged, in one step: a handler may come here again, and so may another thread.
        if len(self._said) >= _MOST or self._said.setdefault(key, mark) is not mark:
            return
        try:
            _logger.log(level, message, *arguments, exc_info=error)
        except Exception as failure:
            raise_interruption(failure)
