"""This process's part in a service of several workers: its run directory, its file, and the way out."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import time
from collections.abc import Sequence

from otel_obs.cells import ancestry
from otel_obs.cells.rundir import (
    RunDir,
    UnusableDirectoryError,
    find_run_dirs,
    has_other_users,
    is_supported,
    leave,
    lock,
    open_run_dir,
    sweep,
)
from otel_obs.cells.store import Store, StoreFullError, file_store, heap_store
from otel_obs.cells.view import SUFFIX
from otel_obs.errors import unwritable_run_dir

_logger = logging.getLogger("otel_obs")


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
        self._inherited: list[RunDir] = []
        self._root = ancestry.root_of(sys.orig_argv)
        self._is_alone = not is_supported()
        if self._is_alone:
            _say_alone("this platform has no shared files with locks")
            return
        os.register_at_fork(after_in_parent=self._join_quietly, after_in_child=self._after_fork_in_child)
        atexit.register(self._leave)

    def run_dir(self) -> RunDir | None:
        """The service's directory; None where this process is alone."""
        if self._run_dir is None and not self._is_alone:
            try:
                self._run_dir = open_run_dir(self._bases, self._nonce)
            except UnusableDirectoryError as error:
                self._is_alone = True
                _say_alone(
                    str(unwritable_run_dir(self._chosen_by, self._bases[0]) if self._chosen_by else error)
                )
            else:
                sweep(self._bases)
        return self._run_dir

    def open_store(self, worker: bytes) -> Store:
        """A store in the run directory, or in this process's own memory where none can be had."""
        started_s = time.time()
        run_dir = self.run_dir()
        if run_dir is not None:
            try:
                return _open_file_store(run_dir, started_s, worker)
            except (OSError, StoreFullError) as error:
                _say_alone(str(error))
        return heap_store(started_s, worker)

    def has_other_users(self) -> bool:
        """Whether workers of this service run as another user, as `gunicorn --user` lets them."""
        return has_other_users(self._bases, self._nonce)

    def _join_quietly(self) -> None:
        """A process that forks workers is a member too, or the last worker of a moment takes all away."""
        if self._run_dir is None and not self._is_alone:
            with contextlib.suppress(UnusableDirectoryError):
                self._run_dir = open_run_dir(self._bases, self._nonce)

    def _after_fork_in_child(self) -> None:
        """Keep the parent's membership open, and become a member oneself at the first use."""
        if self._run_dir is not None:
            self._inherited.append(self._run_dir)
            self._run_dir = None

    def _leave(self) -> None:
        """Tidy up, unless the process that started the service lives: then that is its task."""
        # Without it a worker that is replaced, and is the only one just then, would take the totals along.
        if self._root is None or self._root.pid == os.getpid() or not ancestry.is_alive(self._root):
            own = [self._run_dir] if self._run_dir else find_run_dirs(self._bases, self._nonce)
            leave([*own, *self._inherited])


def _open_file_store(run_dir: RunDir, started_s: float, worker: bytes) -> Store:
    """Make, lock and only then name the file: whoever lists it finds it locked."""
    name = worker.hex()
    temporary = f"{name}.new"
    descriptor = run_dir.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR)
    try:
        store = file_store(descriptor, started_s, worker)
        # Not the descriptor that is mapped: a child's inherited mapping would hold that lock for ever.
        guard = run_dir.open(temporary, os.O_RDONLY)
        store.own(guard)
        lock(guard, exclusive=True)
        run_dir.rename(temporary, name + SUFFIX)
    except (OSError, StoreFullError):
        run_dir.unlink(temporary)
        raise
    return store


def _say_alone(reason: str) -> None:
    _logger.warning("%s; metrics of this process are not merged with those of other workers", reason)
