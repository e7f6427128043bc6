"""Which processes are the workers of one service, as the kernel sees it.

A server that knows nothing of otel_obs forks or spawns its workers, and only they import the
application. What they share is their ancestor: the process that was executed, of which the workers
are forks (the same program image at the same random addresses) or multiprocessing's children.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from otel_obs.host.interruptions import raise_interruption

_IMAGE_FIELDS = slice(25, 28)  # startcode, endcode, startstack; proc(5) counts from 1
_PARENT_FIELD, _START_FIELD = 3, 21


class Process(NamedTuple):
    """What /proc says of a process.

    `image` tells one execution of a program from another; it is empty where that is not ours to see.
    """

    pid: int
    parent: int
    start: str
    image: tuple[str, ...]


def service_name(command: Sequence[str]) -> str:
    """A name that all workers of this process's service come to, and no other service does.

    Args:
        command: The whole command line of the interpreter (`sys.orig_argv`).

    Returns:
        16 hexadecimal digits; random ones where the kernel does not tell.
    """
    root = root_of(command)
    if root is None:
        return secrets.token_hex(8)
    host = [_read_link("/proc/self/ns/pid"), _read("/proc/sys/kernel/random/boot_id")]
    # The image too: a process may execute another program, which is another service.
    identity = (root.pid, root.start, root.image, host)
    return hashlib.blake2b(repr(identity).encode(), digest_size=8).hexdigest()


def is_first(command: Sequence[str]) -> bool:
    """Whether this process is its service's first, and so not one of several workers; true where unknown."""
    root = root_of(command)
    return root is None or root.pid == os.getpid()


def image_of(process: Process) -> str:
    """What all forks of one execution of a program have in common, in short; empty where it is not to see."""
    return hashlib.blake2b(repr(process.image).encode(), digest_size=8).hexdigest() if process.image else ""


def is_alive(process: Process) -> bool:
    """Whether it still runs, and its number was not given to another."""
    now = look_up(process.pid)
    return now is not None and now.start == process.start


def is_multiprocessing_child(command: Sequence[str]) -> bool:
    """Whether multiprocessing executed this interpreter: as a worker, or as the server that forks them."""
    return "--multiprocessing-fork" in command or "multiprocessing.forkserver" in inline_script(command)


def inline_script(command: Sequence[str]) -> str:
    """What the interpreter was given with `-c`."""
    return command[command.index("-c") + 1] if "-c" in command[:-1] else ""


def root_of(command: Sequence[str]) -> Process | None:
    """The oldest ancestor that this process was forked from, over multiprocessing's executions."""
    is_spawned = is_multiprocessing_child(command)
    process = look_up(os.getpid())
    while process is not None:
        parent = look_up(process.parent) if process.parent > 1 else None
        if parent is None or not (is_spawned or _is_fork(process, parent)):
            return process
        process, is_spawned = parent, is_multiprocessing_child(_command(parent.pid).split("\0"))
    return None


def _is_fork(process: Process, parent: Process) -> bool:
    """Whether both run one execution of a program; of a parent of another user only the command is seen."""
    if parent.image and process.image:
        return parent.image == process.image
    return _command(parent.pid) == _command(process.pid) != ""


def _command(pid: int) -> str:
    return _read(f"/proc/{pid}/cmdline")


def look_up(pid: int) -> Process | None:
    """Ask /proc about *pid*; None where it is gone or /proc is not there."""
    # The name is in parentheses and may hold anything, parentheses and spaces included.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) < _IMAGE_FIELDS.stop:
        return None
    # What follows the name begins with field 3.
    image = tuple(fields[_IMAGE_FIELDS.start - 2 : _IMAGE_FIELDS.stop - 2])
    if set(image) <= {"0", "1"}:
        image = ()
    return Process(pid, int(fields[_PARENT_FIELD - 2]), fields[_START_FIELD - 2], image)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError as error:
        raise_interruption(error)
        return ""


def _read_link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError as error:
        raise_interruption(error)
        return ""
