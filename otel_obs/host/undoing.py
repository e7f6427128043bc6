"""The undoing of what was installed into the process."""

from __future__ import annotations

import logging
from collections.abc import Callable

from otel_obs.host.signals import interruption_of

_logger = logging.getLogger("otel_obs")


class Undoing:
    """An exit stack that several threads add to.

    The undoing is added before something is installed, so that a signal handler's exception in between leaves
    nothing behind. So an undoing must do no harm where there is nothing to undo.
    """

    def __init__(self) -> None:
        self._undoings: list[Callable[[], object]] = []
        self._is_over = False

    def later(self, undo: Callable[[], object]) -> None:
        """Call *undo* when all is undone; at once where it was already."""
        # Appended before the check: either an `unwind` on another thread still finds it, or this call does.
        self._undoings.append(undo)
        if self._is_over:
            self.unwind()

    def once(self, undo: Callable[[], object]) -> None:
        """The same, unless *undo* waits already: one undoing serves any number of applications."""
        if undo not in self._undoings:
            self.later(undo)

    def unwind(self) -> None:
        """Undo everything, the last first. An exception is logged, and does not stop the others."""
        self._is_over = True
        while True:
            try:
                undo = self._undoings.pop()
            except IndexError:
                return
            try:
                undo()
            except BaseException as error:
                if not isinstance(error, Exception) or interruption_of(error) is not None:
                    # `KeyboardInterrupt`, or what a signal handler raised: undo the rest, then let it pass.
                    self.unwind()
                    raise
                _logger.warning("otel_obs could not undo a part of its set-up", exc_info=error)
