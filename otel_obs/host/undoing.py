"""The undoing of what was installed into the process."""

from __future__ import annotations

import logging
from _thread import get_ident
from collections.abc import Callable

from otel_obs.host.signals import interruption_of

_logger = logging.getLogger("otel_obs")

_MOST_TRIES = 3
"""How often one undoing is begun where a signal handler's exception comes in the middle of it."""


class _WaitingUndo:
    """One undoing that waits."""

    def __init__(self, undo: Callable[[], object]) -> None:
        self.undo = undo
        self.tries = 0
        self.thread = 0
        """The thread that is in the middle of it."""


class Undoing:
    """An exit stack that several threads add to.

    The undoing is added before something is installed, so that a signal handler's exception in between leaves
    nothing behind. So an undoing must do no harm where there is nothing to undo. One that such an exception
    interrupts is begun again: what it has done by then must not keep it from doing the rest.
    """

    def __init__(self) -> None:
        self._entries: list[_WaitingUndo] = []
        self._is_over = False

    @property
    def is_through(self) -> bool:
        """Whether all was undone, or another thread undoes it; what is added now is undone at once."""
        return self._is_over and self._last() is None

    def later(self, undo: Callable[[], object]) -> None:
        """Call *undo* when all is undone; at once where it was already."""
        # Appended before the check: either an `unwind` on another thread still finds it, or this call does.
        self._entries.append(_WaitingUndo(undo))
        if self._is_over:
            self.unwind()

    def once(self, undo: Callable[[], object]) -> None:
        """The same, unless *undo* waits already: one undoing serves any number of applications."""
        if not any(entry.undo == undo for entry in list(self._entries)):
            self.later(undo)

    def unwind(self) -> None:
        """Undo everything, the last first. An exception is logged, and does not stop the others.

        `KeyboardInterrupt`, or what a signal handler raises, passes when the rest is undone.
        """
        self._is_over = True
        interruption: BaseException | None = None
        # An entry is removed when it is done: an exception between two of these steps loses none.
        while (entry := self._last()) is not None:
            try:
                entry.thread = get_ident()
                entry.tries += 1
                entry.undo()
            except BaseException as error:
                if not isinstance(error, Exception) or interruption_of(error) is not None:
                    interruption = error
                    if entry.tries < _MOST_TRIES:
                        entry.thread = 0
                        continue
                else:
                    _logger.warning("otel_obs could not undo a part of its set-up", exc_info=error)
            self._remove(entry)
        if interruption is not None:
            raise interruption

    def _last(self) -> _WaitingUndo | None:
        """The entry that was added last, of those that no thread is in the middle of."""
        return next((entry for entry in reversed(list(self._entries)) if not entry.thread), None)

    def _remove(self, entry: _WaitingUndo) -> None:
        if entry in self._entries:
            self._entries.remove(entry)
