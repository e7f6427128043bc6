"""The directory in which the workers of one service find each other's files.

`<base>/otel-obs-<euid>/<nonce>/`, private to the user. All workers of a service find the same name. The first
one that needs the directory makes it, and the last one that leaves removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterable, Sequence
from typing import Any

from otel_obs.host.descriptors import Descriptor
from otel_obs.host.signals import raise_interruption, tolerate

try:
    import fcntl as _fcntl

    fcntl: Any = _fcntl
except ImportError:  # Windows
    fcntl = None

MEMBERS = "members"


def _reading(*flags: str) -> int:
    """The flags of that name, of those that this system has: the modules are imported on every one."""
    return os.O_RDONLY | sum(getattr(os, flag, 0) for flag in flags)


DIRECTORY_FLAGS = _reading("O_DIRECTORY", "O_NOFOLLOW")
MEMBERS_FLAGS = _reading("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC")
_ATTEMPTS = 100
_PAUSE_S = 0.005
PREFIX = "otel-obs-"
ASIDE = ".gone-"
"""How the name of a directory begins that is being removed."""


class UnusableDirectoryError(Exception):
    """No run directory can be had here; the message says why."""


def is_supported() -> bool:
    """Whether this platform has what files shared by several workers need."""
    return fcntl is not None and hasattr(os, "posix_fallocate") and hasattr(os, "pread")


def lock(descriptor: int, *, exclusive: bool) -> bool:
    """Try to take a whole-file lock that belongs to the open file, without waiting."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        raise_interruption(error)
        return False
    return True


def unlock(descriptor: int) -> None:
    """Give up what `lock` took."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)


class RunDir:
    """An open run directory, of which this process is a member as long as it lives.

    Membership is a shared lock on the file `members`. Its descriptor is inherited by forks on purpose
    (a daemon, a worker that outlives its master), and is not by programs that are executed.
    """

    def __init__(self, path: str, directory: Descriptor, members: Descriptor) -> None:
        self.path = path
        self._directory, self._members = directory, members

    @property
    def descriptor(self) -> int:
        """The number of the open directory; an `OSError` where it is closed."""
        return self._directory.number

    @property
    def members(self) -> int:
        """The number of the open file `members`; an `OSError` where this process has left."""
        return self._members.number

    def open(self, name: str, flags: int) -> Descriptor:
        """Open a file in here, following no symbolic link, and waiting for no pipe."""
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        return Descriptor(os.open, name, flags, 0o600, dir_fd=self.descriptor).above_standard()

    def rename(self, old: str, new: str) -> None:
        """Rename a file in here."""
        os.rename(old, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def unlink(self, name: str) -> None:
        """Remove a file in here, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    def claim(self, name: str) -> bool:
        """Make an empty file, unless another process has done so before."""
        try:
            self.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY).close()
        except OSError as error:
            raise_interruption(error)
            return False
        return True

    def note(self, names: Iterable[str]) -> None:
        """Make empty files of these names in here, where they are missing."""
        for name in set(names).difference(self.names()):
            self.claim(name)

    def names(self) -> list[str]:
        """The files in here."""
        return os.listdir(self.descriptor)

    def is_removed(self) -> bool:
        """Whether the directory was removed, or another one has its name."""
        try:
            return not os.path.samestat(os.stat(self.path, follow_symlinks=False), self._directory.opened)
        except OSError as error:
            raise_interruption(error)
            return error.errno in (errno.ENOENT, errno.ENOTDIR)

    def has_descriptors(self) -> bool:
        """Whether its descriptors are still open: a daemon may close them, and the numbers are reused."""
        return self._directory.is_intact() and self._members.is_intact()

    def note_told(self, unix_s: float) -> None:
        """Note that a page tells what workers have begun by then, in seconds since 1970."""
        os.utime(self.members, (unix_s, unix_s))

    def told_s(self) -> float:
        """The time by which what workers had begun was on a page, in seconds since 1970."""
        return os.fstat(self.members).st_mtime

    def leave(self) -> None:
        """Give up membership, and keep the directory open."""
        self._members.close()

    def close(self) -> None:
        """Give up membership; the directory stays."""
        self._members.close()
        self._directory.close()


def open_run_dir(bases: Sequence[str], nonce: str) -> RunDir:
    """Join the directory, wherever a worker has made it, or make it under the first base that works.

    Raises:
        UnusableDirectoryError: None of *bases* can be used; the message names the last reason.
    """
    # Bases in which workers have made the directory come first, so that all workers meet in one.
    reason = "there is no writable directory for it"
    existing = [base for base in bases if is_directory(os.path.join(user_path_of(base), nonce))]
    for base in [*existing, *(base for base in bases if base not in existing)]:
        try:
            return _open_under(base, nonce)
        except OSError as error:
            raise_interruption(error)
            reason = f"{base}: {error.strerror or error}"
        except UnusableDirectoryError as error:
            reason = str(error)
    raise UnusableDirectoryError(reason)


def find_run_dirs(bases: Sequence[str], nonce: str) -> list[RunDir]:
    """Join the service's directory where workers have made it; make none."""
    found = []
    for base in bases:
        with tolerate(OSError, UnusableDirectoryError), open_private(user_path_of(base), None) as user:
            joined = _join(user, user_path_of(base), nonce)
            if joined is not None:
                found.append(joined)
    return found


def is_directory(path: str) -> bool:
    """`os.path.isdir`, which itself would swallow the `TimeoutError` of a signal handler."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        raise_interruption(error)
        return False


def id_mark(nonce: str, user: str) -> str:
    """The name of a mark beside the users' private directories, where every user can see it."""
    return f"otelobs-id-{nonce}-{user}"


def user_path_of(base: str) -> str:
    """The directory of this user's run directories under *base*."""
    return os.path.join(base, f"{PREFIX}{os.geteuid()}")


def _open_under(base: str, nonce: str) -> RunDir:
    user_path = user_path_of(base)
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileExistsError):
            os.mkdir(user_path, 0o700)
        try:
            with open_private(user_path, None) as user:
                return _join_or_make(user, user_path, nonce)
        except FileNotFoundError:  # who is last to leave removes the user's directory too
            continue
    raise UnusableDirectoryError(f"{user_path} keeps vanishing")


def _join_or_make(user: int, user_path: str, nonce: str) -> RunDir:
    for _ in range(_ATTEMPTS):
        joined = _join(user, user_path, nonce)
        if joined is not None:
            return joined
        if not _make(user, nonce):
            if not is_same(None, user_path, user):
                raise FileNotFoundError(user_path)
            time.sleep(_PAUSE_S)  # another process is making it, or removing one without members
    raise UnusableDirectoryError(f"{user_path}/{nonce} keeps vanishing")


def open_private(path: str, parent: int | None) -> Descriptor:
    """Open a directory that must be ours alone; a planted one, or a symbolic link, is refused."""
    opened = Descriptor(os.open, path, DIRECTORY_FLAGS, dir_fd=parent).above_standard()
    status = opened.opened
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        opened.close()
        raise UnusableDirectoryError(f"{path} does not belong to this user alone")
    return opened


def _join(user: int, user_path: str, nonce: str) -> RunDir | None:
    """Become a member; None where the directory is not there, or is being removed at this moment."""
    try:
        directory = open_private(nonce, user)
    except FileNotFoundError:
        return None
    members: Descriptor | None = None
    run_dir: RunDir | None = None
    try:
        members = _open_members(user, nonce, directory.number)
        # Looked at after the lock: a process that removes the directory locks it and then moves it aside.
        if lock(members.number, exclusive=False) and is_same(user, nonce, directory.number):
            run_dir = RunDir(os.path.join(user_path, nonce), directory, members)
    except FileNotFoundError:
        pass
    except BaseException:
        # Not left to `close_lost`: somebody may keep the traceback, and with it what is open here.
        _close_both(directory, members)
        raise
    if run_dir is None:
        _close_both(directory, members)
    return run_dir


def _close_both(directory: Descriptor, members: Descriptor | None) -> None:
    directory.close()
    if members is not None:
        members.close()


def _open_members(user: int, nonce: str, directory: int) -> Descriptor:
    """Open the members' file, which is made anew where only the file was removed."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return Descriptor(os.open, MEMBERS, flags, dir_fd=directory).above_standard()
    except FileNotFoundError:
        # Our own removal moves the directory aside first.
        if not is_same(user, nonce, directory):
            raise
        return Descriptor(os.open, MEMBERS, flags | os.O_CREAT, 0o600, dir_fd=directory).above_standard()


def is_same(parent: int | None, name: str, descriptor: int) -> bool:
    """Whether *name* in *parent* is what *descriptor* is open on."""
    try:
        return os.path.samestat(os.stat(name, dir_fd=parent, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _make(user: int, nonce: str) -> bool:
    """Make the directory under a temporary name, with its members file, and put it in place whole.

    Returns:
        Whether it is in place; False where another process was first, or swept it.
    """
    temporary = f".{nonce}-{os.urandom(4).hex()}"
    try:
        os.mkdir(temporary, 0o700, dir_fd=user)
        with (
            Descriptor(os.open, temporary, DIRECTORY_FLAGS, dir_fd=user) as made,
            Descriptor(os.open, MEMBERS, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600, dir_fd=made) as members,
        ):
            # Readable through /proc/self/fd by a worker that has dropped its privileges since.
            os.fchmod(members, 0o644)
        # Fails where another process was first: its directory has a members' file, and so is not empty.
        os.rename(temporary, nonce, src_dir_fd=user, dst_dir_fd=user)
    except BaseException as error:
        remove_tree(user, temporary)
        raise_interruption(error)
        if isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise
    return True


def remove_tree(parent: int, name: str) -> None:
    """Move a directory aside, so that nobody joins it any more, and remove it with its files."""
    aside = f"{ASIDE}{os.urandom(4).hex()}"
    try:
        with tolerate(OSError):
            os.rename(name, aside, src_dir_fd=parent, dst_dir_fd=parent)
            _remove_aside(parent, name, aside)
    except BaseException:
        _remove_aside(parent, name, aside)  # an exception of a signal handler: nobody else does the rest
        raise


def _remove_aside(parent: int, name: str, aside: str) -> None:
    with tolerate(OSError):
        # By its descriptor: a path could be made to lead elsewhere in the meantime.
        with Descriptor(os.open, aside, DIRECTORY_FLAGS, dir_fd=parent) as descriptor:
            # Again, while a process that has it open, and is about to end, still makes a file there.
            for _ in range(_ATTEMPTS):
                for file in os.listdir(descriptor):
                    os.unlink(file, dir_fd=descriptor)
                try:
                    os.rmdir(aside, dir_fd=parent)
                except OSError as error:
                    raise_interruption(error)
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                else:
                    break
        if "." in name[1:]:  # the name of a service id, which has a mark
            # The mark of the directory's owner: root also removes directories of its workers' users.
            user = str(os.fstat(parent).st_uid)
            os.rmdir(os.path.join("..", id_mark(name, user)), dir_fd=parent)
