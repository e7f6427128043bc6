"""Ends, or fails, this process at a chosen step of what it does to the file system and to its stores."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import otel_obs.rundir.directory as directory
from otel_obs.cells.store import Store

CRASHED = 77
NEED_ROOM = ("open", "rename", "mkdir", "ftruncate", "posix_fallocate")
STEPS = (*NEED_ROOM, "close", "unlink", "rmdir", "pread", "fstat", "stat", "listdir")


def crash() -> None:
    """End at once, as if killed."""
    os._exit(CRASHED)


def no_room() -> None:
    """Fail as a full device does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def at_step(number: int, happen: Callable[[], None]) -> Iterator[list[int]]:
    """Have something happen before step *number*, from 1; gives the number of steps so far."""
    steps = [0]

    def before(function: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*args: Any, **kwargs: Any) -> Any:
            steps[0] += 1
            if steps[0] == number:
                happen()
            return function(*args, **kwargs)

        return stepping

    patched: list[tuple[Any, str, Callable[..., Any]]]
    patched = [(os, name, getattr(os, name)) for name in (STEPS if happen is crash else NEED_ROOM)]
    if happen is crash:
        patched += [(directory.fcntl, "flock", directory.fcntl.flock), (Store, "_append", Store._append)]
    for owner, name, function in patched:
        setattr(owner, name, before(function))
    try:
        yield steps
    finally:
        for owner, name, function in patched:
            setattr(owner, name, function)
