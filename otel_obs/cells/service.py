"""This process's part in a service of several workers: its run directory, its file, and the way out."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import time
from _thread import RLock
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from otel_obs.cells import ancestry
from otel_obs.cells.rundir import (
    RunDir,
    UnusableDirectoryError,
    find_run_dirs,
    has_other_users,
    is_supported,
    open_run_dir,
)
from otel_obs.cells.tidying import leave, sweep, sweep_other_users
from otel_obs.errors import unwritable_run_dir
from otel_obs.host import forks
from otel_obs.host.interruptions import raise_interruption
from otel_obs.host.weak import weakly

if TYPE_CHECKING:
    from otel_obs.cells.store import Store

# What opens a store is imported when one is opened: most processes of a service never record.
_logger = logging.getLogger("otel_obs")

_MOVED = "moved"
"""Made by whoever says that the workers had to move here, so that the others need not."""


class Service:
    """Opens this process's store where the service's other workers find it.

    Args:
        bases: Directories that may hold the run directory, best first.
        nonce: The name that the first process of the service has chosen.
        chosen_by: The setting by which a user has chosen the only base, if one has.
    """

    def __init__(self, bases: Sequence[str], nonce: str, chosen_by: str = "") -> None:
        self._bases = bases
        self._chosen_by = chosen_by
        self._nonce = nonce
        self._run_dir: RunDir | None = None
        self._stores_dir: RunDir | None = None
        self._inherited: list[RunDir] = []
        self._unsaid: list[str] = []
        self._lock = RLock()
        self._has_left = False
        self._root = ancestry.root_of(sys.orig_argv)
        self._at_exit = weakly(self._leave)
        self._is_alone = not is_supported()
        if self._is_alone:
            self._be_alone("this platform has no shared files with locks")
            self.say()
            return
        forks.after_in_parent(self._join_quietly)
        forks.after_in_child(self._after_fork_in_child)
        atexit.register(self._at_exit)

    def run_dir(self) -> RunDir | None:
        """The service's directory; None where this process is alone."""
        run_dir = self._find()
        self.say()
        return run_dir

    def _find(self) -> RunDir | None:
        with self._lock:
            present = self._run_dir
            if present is not None and not present.is_removed():
                return present
            if self._is_alone or self._has_left:
                return None
            try:
                opened = open_run_dir(self._bases, self._nonce)
            except UnusableDirectoryError as error:
                self._be_alone(
                    str(unwritable_run_dir(self._chosen_by, self._bases[0]) if self._chosen_by else error)
                )
                return None
            if not self._replace(present, opened):
                opened.close()
                return self._run_dir
        if present is None:
            sweep(self._bases)
        elif opened.claim(_MOVED):
            self._unsaid.append(
                f"{present.path} was removed; the workers that live go on in {opened.path}, and what others "
                "have counted is lost"
            )
        return opened

    def _replace(self, before: RunDir | None, opened: RunDir) -> bool:
        """Make *opened* the directory, unless a signal handler of this thread was faster."""
        if self._run_dir is not before:
            return False
        self._run_dir = opened
        # Kept as long as this process was no member itself: generations of forks would have one more each.
        inherited, self._inherited = self._inherited, []
        for run_dir in inherited:
            run_dir.close()
        return True

    def open_store(self, worker: bytes) -> Store:
        """A store in the run directory, or in this process's own memory where none can be had."""
        from otel_obs.cells.opening import open_file_store
        from otel_obs.cells.store import StoreFullError, heap_store

        started_s = time.time()
        run_dir = self._stores_dir = self._find()
        if run_dir is not None:
            try:
                return open_file_store(run_dir, started_s, worker)
            except (OSError, StoreFullError) as error:
                raise_interruption(error)
                self._say_later(str(error))
        return heap_store(started_s, worker)

    def reopen(self, worker: bytes, fill: Callable[[Store], None]) -> Store:
        """Open another store for the same worker; its file takes the name when *fill* has filled it.

        Raises:
            OSError: There is no directory, or no file can be made in it.
            StoreFullError: There is no room for it.
        """
        from otel_obs.cells.opening import open_file_store

        run_dir = self._find()
        if run_dir is None:
            raise OSError("there is no run directory")
        store = open_file_store(run_dir, time.time(), worker, fill)
        self._stores_dir = run_dir
        return store

    def is_gone(self) -> bool:
        """Whether the directory was taken away in which the store was opened, and there is another."""
        place = self._stores_dir
        return place is not None and place.is_removed() and self._find() is not None

    def say(self) -> None:
        """Log what there is to say. Not to be called under a lock that recording takes."""
        while self._unsaid:
            with contextlib.suppress(IndexError):
                _logger.warning("%s", self._unsaid.pop(0))

    def has_other_users(self) -> bool:
        """Whether workers of this service run as another user, as `gunicorn --user` lets them."""
        return has_other_users(self._bases, self._nonce)

    def _be_alone(self, reason: str) -> None:
        self._is_alone = True
        self._say_later(reason)

    def _say_later(self, reason: str) -> None:
        self._unsaid.append(f"{reason}; metrics of this process are not merged with those of other workers")

    def _join_quietly(self) -> None:
        """A process that forks workers is a member too, or the last worker of a moment takes all away."""
        if self._run_dir is None and not self._is_alone and not self._has_left:
            with contextlib.suppress(UnusableDirectoryError):
                opened = open_run_dir(self._bases, self._nonce)
                if not self._replace(None, opened):
                    opened.close()

    def _after_fork_in_child(self) -> None:
        """Keep the parent's membership open, and become a member oneself at the first use."""
        self._lock = RLock()
        self._unsaid.clear()
        if self._run_dir is not None:
            self._inherited.append(self._run_dir)
            self._run_dir = self._stores_dir = None

    def close(self) -> None:
        """Be no worker of the service any more, and keep nothing of it open."""
        atexit.unregister(self._at_exit)
        self._leave()
        for run_dir in (self._run_dir, *self._inherited):
            if run_dir is not None:
                run_dir.close()

    def _leave(self) -> None:
        """Tidy up, unless the process that started the service lives: then that is its task."""
        # From here on nobody makes another directory: a thread may record, or look for one, to the very end.
        with self._lock:
            self._has_left = True
        # Without it a worker that is replaced, and is the only one just then, would take the totals along.
        is_root = self._root is None or self._root.pid == os.getpid()
        if is_root or self._root is None or not ancestry.is_alive(self._root):
            present = self._run_dir
            if present is None or present.is_removed():
                leave(find_run_dirs(self._bases, self._nonce))
            leave([run_dir for run_dir in (present, *self._inherited) if run_dir is not None])
            sweep_other_users(self._bases, self._nonce)
