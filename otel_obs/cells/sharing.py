"""Where a worker's numbers are stored, and what is logged where they cannot be shared."""

from __future__ import annotations

import contextlib
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from otel_obs.cells.placing import Placing
from otel_obs.host.signals import raise_interruption
from otel_obs.rundir.apart import registered
from otel_obs.rundir.directory import RunDir
from otel_obs.rundir.identity import Identity

if TYPE_CHECKING:
    from otel_obs.cells.store import Store

_logger = logging.getLogger("otel_obs")


class Sharing(ABC):
    """Opens this process's store where others find it, or moves it there as soon as that is possible.

    Args:
        bases: Directories that may hold the run directory, best first.
    """

    _identity: Identity
    _nonce: str
    _run_dir: RunDir | None

    def __init__(self, bases: Sequence[str]) -> None:
        self._bases = bases
        self._placing = Placing(bases)
        self._left: list[RunDir] = []
        self._worker = b""
        self._is_alone = self._has_left = self._is_unusable = False
        self._unsaid: list[str] = []
        self._said: dict[str, bool] = {}

    @abstractmethod
    def _find(self) -> RunDir | None:
        """The service's directory; None where there is none at the moment."""

    def open_store(self, worker: bytes) -> Store:
        """A store in the run directory, or in this process's own memory where that is impossible just now.

        Raises:
            StoreFullError: There is no memory either.
        """
        from otel_obs.cells.mapped import heap_store
        from otel_obs.cells.store import StoreFullError

        self._worker = worker
        if not self._is_alone and not self._has_left:
            try:
                return self._placing.open(self._find(), self._nonce, worker)
            except (OSError, StoreFullError) as error:
                raise_interruption(error)
                # Where there is no directory, `_find` has queued the reason.
                if not self._is_unusable:
                    self._say_later(str(error))
                self._placing.note_apart(self._nonce, worker, self._placing.failure or str(error))
        return heap_store(time.time(), worker)

    def reopen(self, worker: bytes, fill: Callable[[Store], None], factor: int = 1) -> Store:
        """Open another store for the same worker; its file takes the name when *fill* has filled it.

        Args:
            worker: Its id.
            fill: Copies the worker's series into the store.
            factor: Multiplies the default size.

        Raises:
            OSError: There is no directory, or no file can be made in it.
            StoreFullError: There is no room for it.
        """
        from otel_obs.cells.store import StoreFullError

        if self._is_alone or self._has_left:
            raise OSError("this process has no part in a service")
        try:
            store = self._placing.open(self._find(), self._nonce, worker, fill, factor)
        except (OSError, StoreFullError) as error:
            raise_interruption(error)
            # The worker stays in its file, which nobody finds where it was taken away.
            if self._placing.is_file_gone():
                self._placing.note_apart(self._nonce, worker, self._placing.failure or str(error))
            raise
        # A later failure is logged again.
        self._said.clear()
        return store

    def is_gone(self) -> bool:
        """Whether the store has to move: its file or directory was removed, or it is in no file."""
        return not self._is_alone and not self._has_left and self._placing.wants_another()

    def note_apart(self, worker: bytes, reason: str) -> None:
        """Note that some numbers of *worker* are only in this process's memory, and log why, once."""
        self._worker = worker
        self._say_later(reason)
        if not self._is_alone:
            self._placing.note_apart(self._nonce, worker, reason)

    def elsewhere(self) -> Sequence[RunDir]:
        """The directories under other bases in which workers of the service had to put their files."""
        run_dir = self._run_dir
        return self._placing.elsewhere(run_dir, self._nonce) if run_dir is not None else ()

    def known_dirs(self) -> Sequence[RunDir]:
        """The directories of the service's workers that are open already."""
        run_dir = self._run_dir
        return [] if run_dir is None else [run_dir, *self._placing.known(run_dir)]

    def left_dirs(self) -> Sequence[RunDir]:
        """Directories that were removed, in which other workers still record.

        These workers notice it within seconds, and move.
        """
        for run_dir in [each for each in self._left if not registered(each)]:
            with contextlib.suppress(ValueError):  # another thread was first
                self._left.remove(run_dir)
                run_dir.close()
        return tuple(self._left)

    def what_is_apart(self) -> str:
        """Why this process cannot merge all workers' numbers; empty if no reason is known."""
        if self._is_alone or self._has_left:
            return ""
        heads = self._identity.heads
        return self._placing.what_is_apart(self._run_dir, self._nonce, self._worker, heads)

    def say(self) -> None:
        """Log pending messages. Must not be called under a lock that recording takes."""
        while self._unsaid:
            with contextlib.suppress(IndexError):
                _logger.warning("%s", self._unsaid.pop(0))

    def _be_alone(self, reason: str) -> None:
        self._is_alone = True
        self._say_later(reason)

    def _say_later(self, reason: str, *, is_every_workers: bool = False) -> None:
        """Have *reason* logged once; with *is_every_workers*, forked children do not log it again."""
        if reason not in self._said:
            self._said[reason] = is_every_workers
            self._unsaid.append(
                f"{reason}; metrics of this process are not merged with those of other workers"
            )
