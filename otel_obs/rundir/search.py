"""Looking into run directories without joining them: this user's others, and those of other users."""

from __future__ import annotations

import os
from collections.abc import Sequence

from otel_obs.host.descriptors import Descriptor
from otel_obs.host.signals import tolerate
from otel_obs.rundir.directory import (
    DIRECTORY_FLAGS,
    PREFIX,
    UnusableDirectoryError,
    id_mark,
    is_directory,
    is_supported,
    lock,
    open_private,
    user_path_of,
)


def find_noted(bases: Sequence[str], names: set[str]) -> str:
    """This user's run directory that has a file of one of *names*; empty where there is none."""
    for base in bases:
        with tolerate(OSError, UnusableDirectoryError), open_private(user_path_of(base), None) as user:
            for directory in os.listdir(user):
                if not directory.startswith(".") and names & set(_listed(user, directory)):
                    return directory
    return ""


def _listed(parent: int, name: str) -> list[str]:
    with tolerate(OSError), Descriptor(os.open, name, DIRECTORY_FLAGS, dir_fd=parent) as directory:
        return os.listdir(directory)
    return []


def find_signed(bases: Sequence[str], name: str, first_word: str) -> tuple[int, str] | None:
    """Find the process whose pid is in a file *name* of a run directory of this user, and that has it locked.

    Returns:
        The pid and the directory; None where there is no such process.
    """
    for base in bases:
        with tolerate(OSError, UnusableDirectoryError), open_private(user_path_of(base), None) as user:
            for directory in os.listdir(user):
                pid = _signature(user, os.path.join(directory, name), first_word)
                if pid:
                    return pid, os.path.join(user_path_of(base), directory)
    return None


def _signature(user: int, path: str, first_word: str) -> int:
    with tolerate(OSError):
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
        with Descriptor(os.open, path, flags, dir_fd=user) as descriptor:
            words = os.pread(descriptor, 400, 0).decode(errors="replace").split()
            if words[:1] == [first_word] and words[-1].isdecimal() and not lock(descriptor, exclusive=True):
                return int(words[-1])
    return 0


def other_versions(bases: Sequence[str], service_id: str, nonce: str) -> list[str]:
    """The names of this user's run directories that have the service id and are not *nonce*."""
    found = set()
    for base in bases:
        with tolerate(OSError, UnusableDirectoryError), open_private(user_path_of(base), None) as user:
            # An id may have dots: a name that only begins like this one is another service's.
            named = (each for each in os.listdir(user) if each.rpartition(".")[0] == service_id)
            found |= {each for each in named if each != nonce}
    return sorted(found)


def is_there(bases: Sequence[str], nonce: str) -> bool:
    """Whether a directory of that name has been made under any of *bases*."""
    return any(is_directory(os.path.join(user_path_of(base), nonce)) for base in bases)


def has_other_users(bases: Sequence[str], nonce: str) -> bool:
    """Whether another user has a directory of that name; only root can see that."""
    if not is_supported():
        return False
    own = f"{PREFIX}{os.geteuid()}"
    for base in bases:
        with tolerate(OSError):
            others = (name for name in os.listdir(base) if name.startswith(PREFIX) and name != own)
            if any(is_directory(os.path.join(base, name, nonce)) for name in others):
                return True
    return False


def other_users_of(base: str, nonce: str) -> list[int]:
    """The other users whose processes have the service id of the directory *nonce*."""
    before = id_mark(nonce, "")
    with tolerate(OSError):
        users = (name.removeprefix(before) for name in os.listdir(base) if name.startswith(before))
        return sorted(int(user) for user in users if user.isdecimal() and int(user) != os.geteuid())
    return []
