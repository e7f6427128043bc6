"""This process as one worker of the service: its store, its lock, and the handles that write to it."""

from __future__ import annotations

import logging
import os
import time
from _thread import RLock
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from otel_obs.cells.admission import Admission
from otel_obs.cells.mapped import INDEX_BYTES, heap_store
from otel_obs.cells.moving import CellsHandle, Move
from otel_obs.cells.store import Store
from otel_obs.host import forks, gil
from otel_obs.host.weak import WeakObjects
from otel_obs.rundir.directory import RunDir

_logger = logging.getLogger("otel_obs")

_MOST_FACTOR = 4


class Home(Protocol):
    """The place of a worker's store: its file, and the directories of the service."""

    def is_gone(self) -> bool:
        """Whether the store has to move: its file or directory was removed, or it is in no file."""

    def note_apart(self, worker: bytes, reason: str) -> None:
        """Note that some numbers of *worker* are only in this process's memory, and log why, once."""

    def elsewhere(self) -> Sequence[RunDir]:
        """The directories under other bases in which workers of the service had to put their files."""

    def known_dirs(self) -> Sequence[RunDir]:
        """The directories of the service's workers that are open already."""

    def left_dirs(self) -> Sequence[RunDir]:
        """Directories that were removed, in which other workers still record."""

    def what_is_apart(self) -> str:
        """Why this process cannot merge all workers' numbers; empty if no reason is known."""

    def reopen(self, worker: bytes, fill: Callable[[Store], None], factor: int) -> Store:
        """Open another store for the same worker, which replaces the former one once it is filled.

        Args:
            worker: Its id.
            fill: Copies the worker's series into the new store.
            factor: Multiplies the default size.

        Raises:
            OSError: No store can be made.
            StoreFullError: There is no room for it.
        """

    def say(self) -> None:
        """Log pending messages about the place."""


class Worker:
    """The one place through which a process's store is opened and its index changed.

    Recording takes no lock. What changes the index runs in `exclusively`, under a native re-entrant
    lock; work that a signal handler or a finaliser brings in the middle of such a change is put off
    until the change is complete, since no lock keeps out code that runs in the same thread.

    Args:
        open_store: Opens the store for a worker's id; by default one in this process's own memory.
        home: The place of the stores that *open_store* opens; None where they are in memory.
    """

    def __init__(self, open_store: Callable[[bytes], Store] | None = None, home: Home | None = None) -> None:
        self._open_store = open_store or (lambda worker: heap_store(time.time(), worker))
        self._home = home
        self._handles: WeakObjects[CellsHandle] = WeakObjects()
        self.on_fork: list[Callable[[], None]] = []
        self.on_open: list[Callable[[], None]] = []
        """Called, outside the lock, after the store was opened."""
        self._reset()
        forks.after_in_child(self.after_fork_in_child)

    def _reset(self) -> None:
        # Without a GIL, recording takes `gil.lock`: one lock for both leaves no lock order to keep.
        self.lock = RLock() if gil.IS_ON else gil.lock
        self._changing = False
        self._put_off: deque[Callable[[], object]] = deque()
        self._announcements: deque[Callable[[], object]] = deque()
        self._store: Store | None = None
        self._spare: Store | None = None
        self.admission = Admission()
        # A new one in each process: a forked child is another worker.
        self.id = os.urandom(16)

    @property
    def opened(self) -> Store | None:
        """The store, if anything was recorded in this process."""
        return self._store

    @property
    def spare_opened(self) -> Store | None:
        """The store of the series that found no room in the shared one, if there are any."""
        return self._spare

    def store(self) -> Store:
        """The store of this process, opened at the first use after a start or a fork."""
        if self._store is None:
            store = self._open_store(self.id)
            self._look_at_retired()
            # Queued, as this runs under the lock: `_catch_up` calls them when it is released.
            self._announcements.extend(self.on_open)
            if self._home is not None:
                self._announcements.append(self._home.say)
            # Last: where a signal handler raises before, all is done again.
            self._store = store
        return self._store

    def spare(self, reason: str) -> Store:
        """A store in this process's own memory, for series that find no room in the shared one.

        Args:
            reason: Why there is no room; it is logged the first time.
        """
        if self._spare is None:
            spare = heap_store(time.time(), os.urandom(16))
            if self._home is not None:
                self._home.note_apart(self.id, reason)
                self._announcements.append(self._home.say)
            else:
                self._announcements.append(lambda: _say_full(reason))
            self._spare = spare  # last, as in `store`
        return self._spare

    def elsewhere(self) -> Sequence[RunDir]:
        """The directories under other bases in which workers of the service had to put their files."""
        return self._home.elsewhere() if self._home is not None else ()

    def left_dirs(self) -> Sequence[RunDir]:
        """Directories that were removed, in which other workers still record."""
        return self._home.left_dirs() if self._home is not None else ()

    def what_is_apart(self) -> str:
        """Why this process cannot merge all workers' numbers; empty if no reason is known."""
        return self._home.what_is_apart() if self._home is not None else ""

    @staticmethod
    def check_fork() -> None:
        """Start over if this process is a child whose fork ran no hooks; costs next to nothing if not."""
        forks.check()

    def settle(self) -> None:
        """Move to a new store, where the present one is gone, worn, full, or in this process's own memory."""
        self._look_at_retired()
        store = self._store
        if store is not None and (store.is_worn or (self._home is not None and self._home.is_gone())):
            self.exclusively(lambda: self._move(store))
            if self._home is not None:
                self._home.say()

    def _look_at_retired(self) -> None:
        if self._home is not None:
            self.admission.refresh(self._home.known_dirs())

    def _move(self, old: Store) -> None:
        if self._store is not old:  # another thread was first
            return
        spare = self._spare
        # A spare store means that the shared one was full: the next one is larger.
        factor = max(old.header.index_bytes // INDEX_BYTES, 1)
        factor = factor if spare is None else min(2 * factor, _MOST_FACTOR)
        stores = [old] if spare is None else [old, spare]
        Move(
            stores,
            self._handles.living(),
            lambda fill: self._reopen(self.id, fill, factor),
            self._settle,
        ).complete()

    def _settle(self, store: Store) -> None:
        self._store, self._spare = store, None

    def _reopen(self, worker: bytes, fill: Callable[[Store], None], factor: int) -> Store:
        if self._home is not None:
            return self._home.reopen(worker, fill, factor)
        store = heap_store(time.time(), worker)
        fill(store)
        return store

    def attach(self, handle: CellsHandle) -> None:
        """Have *handle* detached in a child process, and relocated when the store moves."""
        self._handles.add(handle)

    def exclusively(self, change: Callable[[], object]) -> None:
        """Run *change* alone, or after the change that it interrupts."""
        forks.check()
        try:
            self._run(change)
        finally:
            self._catch_up()

    def _run(self, change: Callable[[], object]) -> None:
        with self.lock:
            # The lock is re-entrant: a signal handler or a finalizer came in the middle of a change.
            if self._changing:
                self._put_off.append(change)
                return
            self._changing = True
            try:
                change()
            finally:
                self._changing = False

    def _catch_up(self) -> None:
        """Run the changes that were put off, then the announcements, outside the lock.

        A logging handler has a lock of its own. A thread may hold that lock while it records, and so waits
        for ours: to log under our lock could deadlock.
        """
        while not self._changing and (self._put_off or self._announcements):
            try:
                if self._put_off:
                    self._run(self._put_off.popleft())
                else:
                    self._announcements.popleft()()
            except IndexError:  # another thread was first
                return

    def after_fork_in_child(self) -> None:
        """Start over with no values. The parent's lock may be held by a thread that is not here."""
        if self._store is not None:
            self._store.discard()
        self._reset()
        self._detach_handles()
        for hook in self.on_fork:
            hook()

    def close(self) -> None:
        """Give up the store, as the end of the process does: readers take this worker for dead.

        Later measurements go to memory that no reader sees.
        """

        def change() -> None:
            self._open_store, self._home = lambda worker: heap_store(time.time(), worker), None
            self._detach_handles()
            if self._store is not None:
                self._store.discard()
            # Last: who is interrupted by a signal handler's exception closes once more.
            self._store = self._spare = None

        self.on_open.clear()
        self.exclusively(change)

    def _detach_handles(self) -> None:
        for handle in self._handles.living():
            handle.detach()


def _say_full(reason: str) -> None:
    _logger.warning(
        "%s; new series of this process are in its own memory, and not merged with those of other workers",
        reason,
    )
