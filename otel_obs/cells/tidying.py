"""Removing run directories: by the last one out, or by a later start."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from otel_obs.cells.rundir import (
    ASIDE,
    DIRECTORY_FLAGS,
    MEMBERS,
    PREFIX,
    RunDir,
    UnusableDirectoryError,
    is_same,
    lock,
    open_private,
    remove_tree,
    user_path_of,
)
from otel_obs.host.interruptions import raise_interruption, tolerate


def leave(run_dirs: Sequence[RunDir]) -> None:
    """Give up membership; the last one out removes the directory."""
    for run_dir in run_dirs:
        if run_dir.has_descriptors():
            with _end_of_membership(run_dir) as is_last:
                if is_last:
                    _remove(run_dir)


def _remove(run_dir: RunDir) -> None:
    parent_path, name = os.path.split(run_dir.path)
    with tolerate(OSError):
        parent = os.open(parent_path, DIRECTORY_FLAGS)
        if is_same(parent, name, run_dir.descriptor):
            remove_tree(parent, name)
        os.close(parent)
        os.rmdir(parent_path)  # refused where the user has another service


@contextlib.contextmanager
def _end_of_membership(run_dir: RunDir) -> Iterator[bool]:
    """Close our share of the lock; whether nobody else has one, as a fresh open of the file tells."""
    try:
        fresh = os.open(f"/proc/self/fd/{run_dir.members}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise_interruption(error)
        yield False
        return
    try:
        os.close(run_dir.members)
        yield lock(fresh, exclusive=True)
    finally:
        os.close(fresh)


def sweep(bases: Sequence[str]) -> None:
    """Remove this user's run directories that have no member left."""
    for base in bases:
        with tolerate(OSError, UnusableDirectoryError):
            user = open_private(user_path_of(base), None)
            for name in os.listdir(user):
                _sweep_one(user, name)
            os.close(user)


def sweep_other_users(bases: Sequence[str], nonce: str) -> None:
    """Remove the service's directories of users that its workers became; only root can."""
    own = f"{PREFIX}{os.geteuid()}"
    if os.geteuid() != 0:
        return
    for base in bases:
        with tolerate(OSError):
            for name in os.listdir(base):
                if name.startswith(PREFIX) and name != own:
                    with tolerate(OSError):
                        user = os.open(os.path.join(base, name), DIRECTORY_FLAGS)
                        _sweep_one(user, nonce)
                        os.close(user)
                        os.rmdir(os.path.join(base, name))  # refused where there is another service


def _sweep_one(user: int, name: str) -> None:
    if name.startswith(ASIDE):
        remove_tree(user, name)
        return
    with tolerate(OSError):
        directory = os.open(name, DIRECTORY_FLAGS, dir_fd=user)
        try:
            if _is_abandoned(directory):
                remove_tree(user, name)
        finally:
            os.close(directory)


def _is_abandoned(directory: int) -> bool:
    try:
        members = os.open(MEMBERS, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        # Its maker died between two steps, or is between them and will begin again.
        return not os.listdir(directory)
    try:
        return lock(members, exclusive=True)
    finally:
        os.close(members)
