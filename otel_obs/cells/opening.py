"""Creates a worker's file where the other workers find it."""

from __future__ import annotations

import os
from collections.abc import Callable

from otel_obs.cells.foreign_file import NEW, SUFFIX
from otel_obs.cells.mapped import file_store
from otel_obs.cells.store import Store
from otel_obs.host.descriptors import Descriptor
from otel_obs.host.signals import raise_interruption
from otel_obs.rundir.directory import RunDir, lock

_ATTEMPTS = 5


def open_file_store(
    run_dir: RunDir,
    started_s: float,
    worker: bytes,
    fill: Callable[[Store], None] = lambda store: None,
    factor: int = 1,
) -> Store:
    """Make, lock and fill the file, and only then name it: a reader that lists it finds it locked and whole.

    Args:
        run_dir: The directory of the file.
        started_s: Unix seconds.
        worker: The worker's id.
        fill: Copies the worker's series into the store.
        factor: Multiplies the default size.

    Raises:
        OSError: The file cannot be made.
        StoreFullError: The file system has no room for it.
    """
    name = worker.hex()
    for _ in range(_ATTEMPTS):
        store: Store | None = None
        opened: Descriptor | None = None
        try:
            opened = run_dir.open(name + NEW, os.O_CREAT | os.O_EXCL | os.O_RDWR)
            store = file_store(opened, started_s, worker, factor=factor)
            # Lock another descriptor than the mapped one: a mapping keeps its open file, and with it the
            # lock, and a forked child inherits the mapping.
            guard = run_dir.open(name + NEW, os.O_RDONLY)
            store.own(guard)
            if lock(guard.number, exclusive=True):
                fill(store)
                run_dir.rename(name + NEW, name + SUFFIX)
                return store
        except BaseException as error:
            _give_up(run_dir, name, opened, store)
            # The file exists already where a signal handler has interrupted an earlier attempt.
            if not isinstance(error, (FileNotFoundError, FileExistsError)) or run_dir.is_removed():
                raise
        else:
            _give_up(run_dir, name, opened, store)
    raise OSError(f"{run_dir.path}/{name} is taken away again and again")


def _give_up(run_dir: RunDir, name: str, opened: Descriptor | None, store: Store | None) -> None:
    # Before the lock is given up: readers would take what is in the file for the last of a dead worker.
    if opened is not None and _is_at(run_dir, name + SUFFIX, opened):
        run_dir.unlink(name + SUFFIX)
    if store is not None:
        store.discard()
    run_dir.unlink(name + NEW)


def _is_at(run_dir: RunDir, name: str, opened: Descriptor) -> bool:
    try:
        found = os.stat(name, dir_fd=run_dir.descriptor, follow_symlinks=False)
    except OSError as error:
        raise_interruption(error)
        return False
    return os.path.samestat(found, opened.opened)
