"""What was installed into the process, and how it is taken out again."""

from __future__ import annotations

import logging
from collections.abc import Callable

_logger = logging.getLogger("otel_obs")


class Undoing:
    """An exit stack that several threads add to.

    Whoever installs something adds its undoing first: then an exception of a signal handler in between leaves
    nothing. So an undoing must do no harm where there is nothing to undo.
    """

    def __init__(self) -> None:
        self._undoings: list[Callable[[], object]] = []
        self._is_over = False

    def later(self, undo: Callable[[], object]) -> None:
        """Call *undo* when all is undone; at once where it was already."""
        self._undoings.append(undo)
        if self._is_over:
            self.unwind()

    def once(self, undo: Callable[[], object]) -> None:
        """The same, unless *undo* waits already: one undoing for however many applications."""
        if undo not in self._undoings:
            self.later(undo)

    def unwind(self) -> None:
        """Undo all, what came last first. What one raises is logged, and keeps no other from being undone."""
        self._is_over = True
        while True:
            try:
                undo = self._undoings.pop()
            except IndexError:
                return
            try:
                undo()
            except Exception as error:
                _logger.warning("otel_obs could not undo a part of its set-up", exc_info=error)
            except BaseException:
                self.unwind()
                raise
