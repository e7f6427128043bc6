"""A file that another process has made, or something in its place: opened without waiting, never mapped."""

from __future__ import annotations

import errno
import os
import stat

from otel_obs.host.descriptors import Descriptor
from otel_obs.host.signals import raise_interruption, tolerate
from otel_obs.rundir.directory import RunDir, lock

SUFFIX = ".cells"
RETIRED = "retired"
NEW = ".new"
"""The ending of a file that is not complete."""


def open_regular(run_dir: RunDir, name: str, flags: int) -> Descriptor:
    """Open a file that may be something else: a pipe waits for ever, a device may do anything.

    Raises:
        OSError: It cannot be opened, or is no regular file.
    """
    opened = run_dir.open(name, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(opened.opened.st_mode):
        opened.close()
        raise OSError(errno.EINVAL, "it is no regular file", name)
    return opened


class ForeignFile:
    """One regular file, identified by its name, device and inode.

    It may be closed between scrapes; it opens itself again when it is read.

    Raises:
        OSError: It cannot be opened, or is no regular file.
    """

    def __init__(self, run_dir: RunDir, name: str) -> None:
        self.run_dir = run_dir
        self.name = name
        self._opened: Descriptor | None = open_regular(run_dir, name, os.O_RDONLY)
        status = self._opened.opened
        self._identity = status.st_dev, status.st_ino
        self.size_bytes = status.st_size
        """The size at opening, in bytes: a worker's file has its full size before it has its name."""

    def close(self) -> None:
        """Close the descriptor; a later read opens another one."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    @property
    def is_open(self) -> bool:
        """Whether it has a descriptor, by which it can be read even if its name was removed."""
        return self._opened is not None

    @property
    def descriptor(self) -> int:
        """The number of an open descriptor.

        Raises:
            OSError: It is closed and cannot be opened; `FileNotFoundError` where it was removed or replaced.
        """
        if self._opened is None:
            opened = open_regular(self.run_dir, self.name, os.O_RDONLY)
            if not self._is(opened.opened):
                opened.close()
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.name)
            self._opened = opened
        return self._opened.number

    def read(self, start: int, length: int) -> bytes:
        """Up to *length* bytes, from byte *start* on."""
        return os.pread(self.descriptor, length, start)

    def is_unlocked(self) -> bool:
        """Whether no process holds its writer's lock."""
        try:
            # Where that is so, the shared lock stays until this is closed; no writer is left to miss it.
            return lock(self.descriptor, exclusive=False)
        except FileNotFoundError:  # it was closed between scrapes, and folded in the meantime
            return True

    def is_in_place(self) -> bool:
        """Whether its name still leads to it."""
        try:
            status = os.stat(self.name, dir_fd=self.run_dir.descriptor, follow_symlinks=False)
        except OSError as error:
            raise_interruption(error)
            return False
        return self._is(status)

    def _is(self, status: os.stat_result) -> bool:
        return (status.st_dev, status.st_ino) == self._identity


def remove(run_dir: RunDir, name: str) -> None:
    """Remove *name*, if that is possible."""
    with tolerate(OSError):
        run_dir.unlink(name)
