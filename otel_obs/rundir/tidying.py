"""Removing run directories: by the last member that leaves, or by a sweep at a later start.

The directory of a service that may be alive is left alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from otel_obs.host.descriptors import Descriptor, close_lost
from otel_obs.host.proc import Process
from otel_obs.host.signals import raise_interruption, tolerate
from otel_obs.rundir.apart import sweep_marks
from otel_obs.rundir.directory import (
    ASIDE,
    DIRECTORY_FLAGS,
    MEMBERS,
    MEMBERS_FLAGS,
    PREFIX,
    RunDir,
    UnusableDirectoryError,
    is_same,
    lock,
    open_private,
    remove_tree,
    user_path_of,
)
from otel_obs.rundir.roots import (
    LEAVING,
    ROOT,
    STARTER,
    RecordedRoot,
    is_alive,
    is_dead,
    own_file_name,
    recorded_roots,
)

DOUBT = "doubt"
"""Made by a sweep that found no member and cannot know if the root lives; removed when a worker joins."""

DOUBTFUL_S = 3600.0
"""How long a directory without members stays where nothing shows whether its roots are alive."""


IsOver = Callable[[RecordedRoot], bool]


class Left(NamedTuple):
    """A directory that was left to others.

    Attributes:
        run_dir: The directory.
        has_members: Whether other workers are members; else a root lives that it is left to.
    """

    run_dir: RunDir
    has_members: bool


def leave(
    run_dirs: Sequence[RunDir], is_over: IsOver = is_dead, heads: Collection[Process] = ()
) -> list[Left]:
    """Give up membership; the last one out removes the directory, unless a root lives on.

    Args:
        run_dirs: The directories that this process is a member of.
        is_over: Whether a root that a directory names no longer needs it.
        heads: The service's root processes. If this process is one of them, the directories first record
            that it ends: members that outlive it leave while the kernel still shows it, and would leave
            the directory to it.

    Returns:
        The directories that are left to others.
    """
    # A membership that nobody knows of would count as another worker's.
    close_lost()
    left = []
    is_root = any(head.pid == os.getpid() for head in heads)
    ending = own_file_name(LEAVING) if is_root else ""
    for run_dir in run_dirs:
        if run_dir.has_descriptors():
            if ending:
                with tolerate(OSError):
                    run_dir.note([ending])
            opened = _open_afresh(run_dir)
            if opened is None:
                left.append(Left(run_dir, True))
                continue
            # Held while the directory is removed: no process joins meanwhile.
            with opened as fresh:
                if not _is_last(run_dir, fresh):
                    left.append(Left(run_dir, True))
                elif not _is_removed(run_dir, is_over):
                    left.append(Left(run_dir, False))
    return left


def _is_removed(run_dir: RunDir, is_over: IsOver) -> bool:
    """Remove the directory, unless a root needs it."""

    def remove() -> bool:
        is_needed = not _needs_no_root(run_dir.names(), is_over)
        if not is_needed:
            _remove(run_dir)
        return not is_needed

    try:
        return remove()
    except BaseException:
        remove()  # again, where a signal handler has raised: no member is left that would do it
        raise


def forget_leaving(run_dir: RunDir) -> None:
    """Remove the records of ending processes: those that have ended, and this one, which joins again."""
    own = own_file_name(LEAVING)
    for each in recorded_roots(run_dir.names(), LEAVING):
        if each.name == own or is_dead(each):
            run_dir.unlink(each.name)


def _needs_no_root(names: Sequence[str], is_over: IsOver) -> bool:
    """Whether all roots are over or have left: one that has left still runs for a moment, and only ends."""
    leaving = {each[:4] for each in recorded_roots(names, LEAVING)}
    return all(root[:4] in leaving or is_over(root) for root in recorded_roots(names, ROOT))


def _remove(run_dir: RunDir) -> None:
    parent_path, name = os.path.split(run_dir.path)
    with tolerate(OSError):
        with Descriptor(os.open, parent_path, DIRECTORY_FLAGS) as parent:
            # Another directory may have the name by now.
            if is_same(parent, name, run_dir.descriptor):
                remove_tree(parent, name)
        sweep_marks(parent_path)
        os.rmdir(parent_path)  # refused where the user has another service


def _open_afresh(run_dir: RunDir) -> Descriptor | None:
    """The members' file, opened once more and not locked; None where that is impossible."""
    # Through /proc first: that is the same file even where its name is gone or leads to another one.
    try:
        return Descriptor(os.open, f"/proc/self/fd/{run_dir.members}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise_interruption(error)
    try:
        return Descriptor(os.open, MEMBERS, MEMBERS_FLAGS, dir_fd=run_dir.descriptor)
    except OSError as error:
        raise_interruption(error)
        return None


def _is_last(run_dir: RunDir, fresh: int) -> bool:
    """Close our share of the lock, then see on a *fresh* open of the file whether anybody else has one.

    Where nobody has, *fresh* keeps others from joining from now on.
    """
    run_dir.leave()
    return lock(fresh, exclusive=True)


def sweep(bases: Sequence[str]) -> None:
    """Remove this user's run directories that have no member left, and whose roots are known to be dead."""
    for base in bases:
        with tolerate(OSError, UnusableDirectoryError):
            with open_private(user_path_of(base), None) as user:
                for name in os.listdir(user):
                    sweep_one(user, name)
            sweep_marks(user_path_of(base))


def sweep_other_users(bases: Sequence[str], nonce: str) -> None:
    """Remove the service's directories of the users that its workers switched to; only root can."""
    own = f"{PREFIX}{os.geteuid()}"
    if os.geteuid() != 0:
        return
    for base in bases:
        with tolerate(OSError):
            for name in os.listdir(base):
                if name.startswith(PREFIX) and name != own:
                    with tolerate(OSError):
                        with Descriptor(os.open, os.path.join(base, name), DIRECTORY_FLAGS) as user:
                            sweep_one(user, nonce, _is_dead_or_this)
                        os.rmdir(os.path.join(base, name))  # refused where there is another service


def _is_dead_or_this(root: RecordedRoot) -> bool:
    return root.pid == os.getpid() or is_dead(root)


def sweep_one(user: int, name: str, is_over: IsOver = is_dead) -> None:
    """Remove the directory *name* of the user's directory *user*, if its service is known to be dead."""
    if name.startswith(ASIDE):
        remove_tree(user, name)
        return
    with tolerate(OSError), Descriptor(os.open, name, DIRECTORY_FLAGS, dir_fd=user) as directory:
        _sweep_open(user, name, directory, is_over)


def _sweep_open(user: int, name: str, directory: int, is_over: IsOver) -> None:
    try:
        opened = Descriptor(os.open, MEMBERS, MEMBERS_FLAGS, dir_fd=directory)
    except FileNotFoundError:
        # The process that makes it died before it made the members' file, or is about to, and begins again.
        if not os.listdir(directory):
            remove_tree(user, name)
        return
    with opened as members:
        # Checked before the lock too: a worker that joins while it is held has to wait, and most services are
        # alive. Checked again under it: another root may have been recorded in between.
        if _is_over(directory, is_over) and lock(members, exclusive=True) and _is_over(directory, is_over):
            remove_tree(user, name)


def _is_over(directory: int, is_over: IsOver) -> bool:
    names = os.listdir(directory)
    return all(map(is_over, recorded_roots(names, ROOT, STARTER))) or _is_long_doubted(directory, names)


def _is_long_doubted(directory: int, names: Sequence[str]) -> bool:
    """Whether no worker has joined for `DOUBTFUL_S`, where it cannot be known whether the roots live."""
    if any(is_alive(each) for each in recorded_roots(names, ROOT, STARTER)):
        return False
    if DOUBT not in names:
        flags = os.O_CREAT | os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW
        Descriptor(os.open, DOUBT, flags, 0o600, dir_fd=directory).close()
        return False
    return time.time() - os.stat(DOUBT, dir_fd=directory).st_mtime > DOUBTFUL_S
