"""Where a worker's file is: in the service's directory, under another base, or nowhere yet.

A failure to make the file may be temporary, so it is tried again. Meanwhile the worker marks its numbers as
apart, so that scrapes are refused instead of answered without them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from otel_obs.cells.foreign_file import SUFFIX
from otel_obs.host import proc
from otel_obs.host.descriptors import Descriptor
from otel_obs.host.signals import raise_interruption, tolerate
from otel_obs.rundir.apart import Apart, register, registered, slot_of, workers_apart
from otel_obs.rundir.directory import RunDir, UnusableDirectoryError, open_run_dir, user_path_of
from otel_obs.rundir.search import is_there

if TYPE_CHECKING:
    from otel_obs.cells.store import Store

RETRY_S = 1.0
"""The least time between two attempts."""


class _Seat(NamedTuple):
    """The lock by which readers know that a worker has a file in a directory."""

    run_dir: RunDir
    worker: bytes
    lock: Descriptor


class Placing:
    """The place of this process's file.

    Args:
        bases: Directories that may hold the run directory, best first.
    """

    def __init__(self, bases: Sequence[str]) -> None:
        self._bases = bases
        self._reset()

    def _reset(self) -> None:
        self._further: dict[str, RunDir] = {}
        self._file: tuple[RunDir, str, os.stat_result] | None = None
        self._mark: Apart | None = None
        self._seat: _Seat | None = None
        self._reason = ""
        self.failure = ""
        """Why there was no directory the last time."""
        self._next_s = self._join_s = 0.0

    def note_failure(self, reason: str) -> None:
        """Note that there is no directory at the moment, and why."""
        self.failure = reason
        self._join_s = time.monotonic() + RETRY_S

    def start_over(self) -> list[RunDir]:
        """Begin anew in a child; return the directories that the parent had opened."""
        further = list(self._further.values())
        self._leave_seat()
        self._reset()
        return further

    def end(self) -> list[RunDir]:
        """Remove the mark of this worker; return the directories under other bases."""
        if self._mark is not None:
            self._mark.end()
        self._leave_seat()
        return list(self._further.values())

    def open(
        self,
        main: RunDir | None,
        nonce: str,
        worker: bytes,
        fill: Callable[[Store], None] = lambda store: None,
        factor: int = 1,
    ) -> Store:
        """A store in the service's directory, or in one of its name under another base.

        Raises:
            OSError: There is no directory, or no file can be made in any.
            StoreFullError: There is no room for it in any.
        """
        # Imported here: most processes of a service never open a store.
        from otel_obs.cells.opening import open_file_store
        from otel_obs.cells.store import StoreFullError

        failure: OSError | StoreFullError = OSError("there is no run directory")
        for run_dir in self._places(main, nonce):
            try:
                store = open_file_store(run_dir, time.time(), worker, fill, factor)
            except (OSError, StoreFullError) as error:
                raise_interruption(error)
                failure = error
                continue
            self._settle_in(run_dir, worker)
            return store
        self._next_s = time.monotonic() + RETRY_S
        raise failure

    def _places(self, main: RunDir | None, nonce: str) -> Iterator[RunDir]:
        # The service's directory first, then one of the same name under each other base.
        if main is not None:
            yield main
        for base in self._bases:
            if main is None or _path(base, nonce) != main.path:
                with tolerate(OSError, UnusableDirectoryError):
                    yield self._join(base, nonce)

    def _join(self, base: str, nonce: str) -> RunDir:
        run_dir = self._further.get(base)
        if run_dir is None or run_dir.is_removed():
            if run_dir is not None:
                run_dir.close()
            run_dir = self._further[base] = open_run_dir([base], nonce)
        return run_dir

    def _settle_in(self, run_dir: RunDir, worker: bytes) -> None:
        # Now that the file is there: readers expect one of every registered worker.
        self._take_seat(run_dir, worker)
        name, before = worker.hex() + SUFFIX, self._file
        self._file = run_dir, name, os.stat(name, dir_fd=run_dir.descriptor)
        # The new file holds the same numbers; one in the same directory was replaced by the rename.
        if before is not None and before[0] is not run_dir and not before[0].is_removed():
            with tolerate(OSError):
                before[0].unlink(before[1])
        self._reason = self.failure = ""
        # Only now that the file is in place: until then the numbers are apart.
        mark, self._mark = self._mark, None
        if mark is not None:
            mark.end()

    def _take_seat(self, run_dir: RunDir, worker: bytes) -> None:
        """Register the worker, unless it is: two locks of one worker on its byte would exclude each other."""
        held = self._seat
        if held is not None and held[:2] == (run_dir, worker) and held.lock.is_intact():
            return
        taken = register(run_dir, worker)
        self._seat = None if taken is None else _Seat(run_dir, worker, taken)
        if held is not None:
            held.lock.close()

    def _leave_seat(self) -> None:
        seat, self._seat = self._seat, None
        if seat is not None:
            seat.lock.close()

    def may_join(self) -> bool:
        """Whether it is time to look for the directory again."""
        return time.monotonic() >= self._join_s

    def note_apart(self, nonce: str, worker: bytes, reason: str) -> None:
        """Mark that some numbers of *worker* are only in this process's own memory."""
        self._reason = reason
        self._next_s = time.monotonic() + RETRY_S
        if self._mark is None:
            self._mark = Apart(self._bases, nonce, worker)

    def wants_another(self) -> bool:
        """Whether the store has to move to another file, and it is time to try."""
        if time.monotonic() < self._next_s or not (self._reason or self.is_file_gone()):
            return False
        self._next_s = time.monotonic() + RETRY_S
        return True

    def is_file_gone(self) -> bool:
        """Whether the worker has a file that was taken away, or replaced."""
        if self._file is None:
            return False
        run_dir, name, opened = self._file
        try:
            found = os.stat(name, dir_fd=run_dir.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise_interruption(error)
            return False
        return not os.path.samestat(found, opened) or run_dir.is_removed()

    def elsewhere(self, main: RunDir, nonce: str) -> list[RunDir]:
        """The directories of the service under other bases, where workers have had to make them."""
        for base in self._bases:
            path = _path(base, nonce)
            if path != main.path and base not in self._further and _is_ours(path):
                with tolerate(OSError, UnusableDirectoryError):
                    self._join(base, nonce)
        return self.known(main)

    def known(self, main: RunDir) -> list[RunDir]:
        """The directories under other bases that are open already."""
        further = list(self._further.values())
        return [run_dir for run_dir in further if run_dir.path != main.path and not run_dir.is_removed()]

    def what_is_apart(
        self, main: RunDir | None, nonce: str, worker: bytes, heads: Sequence[proc.Process]
    ) -> str:
        """Why this process cannot merge all workers' numbers; empty if no reason is known."""
        others = workers_apart(self._bases, nonce)
        if others:
            return f"what processes {', '.join(map(str, others))} have counted is in their own memory"
        if main is None and is_there(self._bases, nonce):
            return self._reason or self.failure or "the directory of the service's workers cannot be opened"
        if self._reason and self._has_others(main, worker, heads):
            return f"what this process has counted is in its own memory: {self._reason}"
        unread = [
            path
            for base in self._bases
            if main is not None
            and (path := _path(base, nonce)) != main.path
            and base not in self._further
            and _is_ours(path)
        ]
        return f"{unread[0]} cannot be read" if unread else ""

    def _has_others(self, main: RunDir | None, worker: bytes, heads: Sequence[proc.Process]) -> bool:
        """Whether other workers exist: they have files, or are forks of the same process."""
        seats: set[int] = set()
        for run_dir in (main, *self._further.values()):
            if run_dir is not None:
                seats |= registered(run_dir)
        return bool(seats - {slot_of(worker)}) or any(
            _is_worker(child) for head in heads for child in proc.children_of(head.pid)
        )


def _is_worker(process: proc.Process) -> bool:
    if process.pid == os.getpid():
        return False
    return process.is_fork or "--multiprocessing-fork" in proc.command_of(process.pid)


def _path(base: str, nonce: str) -> str:
    return os.path.join(user_path_of(base), nonce)


def _is_ours(path: str) -> bool:
    try:
        return os.lstat(path).st_uid == os.geteuid()
    except OSError as error:
        raise_interruption(error)
        return False
