"""Which workers of a service have numbers that others cannot read, and which workers have a file.

A worker that cannot make its file may have no free descriptor, or no room on the file system. It makes a
symbolic link as a mark, which needs neither. A worker that has a file holds a lock on one byte of the file
`members`. The lock ends with the worker, and stays if its file is removed, so that readers miss the file.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from otel_obs.host import proc
from otel_obs.host.descriptors import Descriptor
from otel_obs.host.proc import Process
from otel_obs.host.signals import raise_interruption, tolerate
from otel_obs.rundir.directory import RunDir, fcntl, user_path_of
from otel_obs.rundir.roots import RecordedRoot, file_name, is_dead, recorded_roots

_APART, _ENDING = ".apart-", ".apart"
_SPACE = 1 << 62
_LOCK = struct.Struct("hhqqi4x")
"""Linux' `struct flock` where numbers have 64 bits: type, whence, start, length, process."""


class Apart:
    """The mark of one worker whose numbers the others cannot read, in whichever base it can be made.

    Args:
        bases: Where its service may have directories, best first.
        nonce: The service's name.
        worker: The worker's id.
    """

    def __init__(self, bases: Sequence[str], nonce: str, worker: bytes) -> None:
        self._path = ""
        said = file_name(_own(), _ENDING)
        for base in bases:
            path = os.path.join(user_path_of(base), f"{_APART}{nonce}-{worker.hex()}")
            with tolerate(OSError):
                if _is_ours(user_path_of(base)):
                    os.symlink(said, path)
                    self._path = path
                    return

    def end(self) -> None:
        """Take the mark away."""
        path, self._path = self._path, ""
        if path:
            with tolerate(OSError):
                os.unlink(path)


def _is_ours(path: str) -> bool:
    """Make this user's directory if it is missing, and check its owner; this takes no descriptor."""
    with tolerate(FileExistsError):
        os.mkdir(path, 0o700)
    status = os.lstat(path)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _own() -> Process:
    return proc.this_process() or proc.hidden_process(os.getpid())


def workers_apart(bases: Sequence[str], nonce: str) -> list[int]:
    """The processes of the service, other than this one, whose numbers cannot be read here."""
    found = [each for base in bases for each in _living(user_path_of(base), nonce)]
    own = file_name(_own(), _ENDING)
    return sorted(each.pid for each in found if each.name != own)


def sweep_marks(user_path: str) -> None:
    """Remove the marks of workers that are known to be dead."""
    _living(user_path)


def _living(user_path: str, nonce: str | None = None) -> list[RecordedRoot]:
    """The processes that made marks, of one service or any, and may be alive; removes the marks of others."""
    found = []
    with tolerate(OSError):
        for name in os.listdir(user_path):
            if name.startswith(_APART) and nonce in (None, name.removeprefix(_APART).rpartition("-")[0]):
                path = os.path.join(user_path, name)
                with tolerate(OSError):
                    made_by = recorded_roots([os.readlink(path)], _ENDING)
                    if any(map(is_dead, made_by)) or not made_by:
                        os.unlink(path)
                    found += [each for each in made_by if not is_dead(each)]
    return found


def slot_of(worker: bytes) -> int:
    """The byte of the members' file that stands for a worker."""
    return int.from_bytes(worker[:8], "little") % _SPACE


def register(run_dir: RunDir, worker: bytes) -> Descriptor | None:
    """Lock the byte of *worker*: it has a file in *run_dir* as long as what is returned is open.

    Returns:
        The lock; None where the platform has no such locks, or no descriptor is left.
    """
    if not hasattr(fcntl, "F_OFD_SETLK"):
        return None
    opened: Descriptor | None = None
    try:
        # Opened anew: such a lock belongs to the open file, and ends with its last descriptor. That of
        # `run_dir.members` stays open in forks.
        opened = Descriptor(os.open, f"/proc/self/fd/{run_dir.members}", os.O_RDWR | os.O_CLOEXEC)
        opened.above_standard()
        seat = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, slot_of(worker), 1, 0)
        fcntl.fcntl(opened.number, fcntl.F_OFD_SETLK, seat)
    except BaseException as error:
        # Not left to whoever keeps the traceback: while it is open, the worker cannot lock its byte again.
        if opened is not None:
            opened.close()
        raise_interruption(error)
        if not isinstance(error, OSError):
            raise
        return None
    return opened


def registered(run_dir: RunDir) -> set[int]:
    """The bytes of the workers that have registered a file in *run_dir*."""
    if not hasattr(fcntl, "F_OFD_GETLK"):
        return set()
    try:
        return set(_locked(run_dir.members))
    except OSError as error:
        raise_interruption(error)
        return set()


def _locked(descriptor: int) -> Iterator[int]:
    """Every locked byte. The kernel tells one lock of a range, not always the first: search both sides."""
    ranges = [(0, _SPACE)]
    while ranges:
        start, end = ranges.pop()
        asked: Any = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, end - start, 0)
        kind, _, at, _, _ = _LOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked))
        if kind != fcntl.F_UNLCK:
            yield at
            ranges += [(low, high) for low, high in ((start, at), (at + 1, end)) if low < high]
