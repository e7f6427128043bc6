"""Which processes are the workers of one service, as the kernel sees it.

A server that knows nothing of otel_obs forks or spawns its workers, and only they import the
application. What they share is their root: the process that was executed, of which the workers are
forks or multiprocessing's children.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from otel_obs.host import proc
from otel_obs.host.proc import Process

_REEXECUTED_BY = "GUNICORN_PID"
"""gunicorn's variable for its successor: the pid of the master that executed it, and that it replaces."""

_GIVEN_SOCKET = re.compile(r"(?<![a-z0-9])fds?(?:\0|=|://)(\d+)(?=\0|$)", re.IGNORECASE)
"""`--fd 3`, `--fd=3`, `fd://3`, in a command line whose words are joined by NULs."""
_SYSTEMD_FIRST = 3


Inodes = Callable[[], frozenset[int]]


class Step(NamedTuple):
    """One step from a process to its parent: whether they are kin, and how that is known."""

    child: int
    parent: int
    is_kin: bool
    reason: str


class Lineage(NamedTuple):
    """From a process up to the root of its service.

    Attributes:
        root: The oldest ancestor that is kin; None where the kernel does not tell.
        executed: The processes on the way, the root included, that took over from one another.
        steps: How each is known.
    """

    root: Process | None
    executed: tuple[Process, ...]
    steps: tuple[Step, ...]


def is_multiprocessing_child(command: Sequence[str]) -> bool:
    """Whether multiprocessing executed this interpreter: as a worker, or as the server that forks them."""
    return "--multiprocessing-fork" in command or "multiprocessing.forkserver" in inline_script(command)


def is_tracker(command: Sequence[str]) -> bool:
    """Whether this is multiprocessing's resource tracker, which is no worker of anything."""
    script = inline_script(command)
    return "multiprocessing.resource_tracker" in script or "multiprocessing.semaphore_tracker" in script


def inline_script(command: Sequence[str]) -> str:
    """The code that the interpreter was given with `-c`; empty where there is none."""
    return command[command.index("-c") + 1] if "-c" in command[:-1] else ""


def trace(
    process: Process | None, command: Sequence[str], environ: Mapping[str, str], listening: Inodes
) -> Lineage:
    """Follow a process up to the oldest ancestor that it was forked from, over multiprocessing's executions.

    Args:
        process: The process, or None where /proc does not show it.
        command: Its command line.
        environ: Its environment.
        listening: Gives the inodes of the listening sockets that it holds.
    """
    if process is None:
        return Lineage(None, (), ())
    # A kernel that shows a program's place in memory also shows whether a fork has executed a program.
    tells = bool(process.image)
    executed: list[Process] = []
    steps: list[Step] = []
    while process.parent > 0:
        parent = proc.look_up(process.parent)
        if parent is None:
            hidden = _hidden_parent(process, command)
            if hidden is not None:
                steps.append(Step(process.pid, process.parent, True, "was forked by it, which /proc hides"))
                return Lineage(hidden, (*executed, hidden), tuple(steps))
            steps.append(Step(process.pid, process.parent, False, "was executed by it, which /proc hides"))
            break
        is_kin, reason = _kinship(process, command, parent, environ, listening, tells)
        steps.append(Step(process.pid, parent.pid, is_kin, reason))
        if not is_kin:
            break
        if not process.is_fork and not is_multiprocessing_child(command) and tells:
            executed.append(process)
        process, command = parent, proc.command_of(parent.pid)
    return Lineage(process, (*executed, process), tuple(steps))


def _hidden_parent(process: Process, command: Sequence[str]) -> Process | None:
    """The process that forked or spawned this one and that /proc hides; an adopter has another session."""
    if not process.is_fork and not is_multiprocessing_child(command):
        return None
    parent = proc.hidden_process(process.parent)
    return parent if parent.session == process.session else None


def _kinship(
    process: Process,
    command: Sequence[str],
    parent: Process,
    environ: Mapping[str, str],
    listening: Inodes,
    tells: bool,
) -> tuple[bool, str]:
    """Whether a process and its present parent are of one service; a parent may have adopted it."""
    if process.is_fork:
        return _fork_of(process, parent)
    if is_multiprocessing_child(command):
        if process.session == parent.session:
            return True, "was started by its multiprocessing"
        return False, "was started by a multiprocessing process that has ended"
    if not tells:
        return _seeming_fork_of(process, parent, listening)
    return _reexecution_of(process, command, parent, environ, listening)


def _fork_of(process: Process, parent: Process) -> tuple[bool, str]:
    """Whether *parent* forked it, and did not adopt it when the forking process ended."""
    if process.image and parent.image:
        if process.image == parent.image:
            return True, "was forked by it: both are one execution of a program"
        return False, "was forked by a process that has ended"
    # The image of another user's process is hidden: compare sessions. An adopting process, such as process 1,
    # has another session.
    if process.session == parent.session:
        return True, "was forked, and is in the same session"
    if _has_same_command(process, parent):
        return True, "was forked, and has the same command line"
    return False, "was forked by a process that has ended"


def _seeming_fork_of(process: Process, parent: Process, listening: Inodes) -> tuple[bool, str]:
    """The same, where the kernel does not tell forks from executions."""
    if _has_same_command(process, parent):
        return True, "has the same command line"
    if listening() & (proc.sockets_of(parent.pid) or frozenset()):
        return True, "holds a listening socket of it"
    return False, "has another command line, and the kernel tells no more"


def _has_same_command(process: Process, parent: Process) -> bool:
    return proc.command_of(process.pid) == proc.command_of(parent.pid) != []


def predecessor(environ: Mapping[str, str]) -> int:
    """The master that this process, or its own master, takes over from; 0 where none is named."""
    named = environ.get(_REEXECUTED_BY, "")
    return int(named) if named.isdecimal() else 0


def _reexecution_of(
    process: Process, command: Sequence[str], parent: Process, environ: Mapping[str, str], listening: Inodes
) -> tuple[bool, str]:
    """Whether a program was executed by its parent to take over from it, as at gunicorn's USR2."""
    if predecessor(environ) == parent.pid:
        return True, f"takes over from it ({_REEXECUTED_BY}={parent.pid})"
    if command[1:] and list(command[1:]) == proc.command_of(parent.pid)[1:]:
        shared = [proc.sockets_of(each.pid) or frozenset() for each in (process, parent)]
        if listening().intersection(*shared):
            return True, "is the same command, and has its listening socket"
    return False, "was executed by it: another program"


def given_sockets(
    command: Sequence[str], environ: Mapping[str, str], pid: int, sockets: Mapping[int, tuple[int, str]]
) -> list[tuple[int, str]]:
    """The listening sockets that this program was told to use: by a descriptor's number, or by systemd.

    A program that merely inherited a socket does not count: nothing told it to use the socket.

    Args:
        command: Its command line.
        environ: Its environment.
        pid: Its number.
        sockets: Its listening sockets: by descriptor the inode and the address.

    Returns:
        Of each the inode and the address.
    """
    numbers = set(map(int, _GIVEN_SOCKET.findall("\0".join(command))))
    if environ.get("LISTEN_PID") == str(pid) and environ.get("LISTEN_FDS", "").isdecimal():
        numbers |= set(range(_SYSTEMD_FIRST, _SYSTEMD_FIRST + int(environ["LISTEN_FDS"])))
    return sorted(sockets[number] for number in numbers & sockets.keys())


def may_be_given_sockets(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether to look for sockets at all, which costs something at every start."""
    return "LISTEN_FDS" in environ or _GIVEN_SOCKET.search("\0".join(command)) is not None


def program(command: Sequence[str]) -> tuple[str, ...]:
    """What is run: the command line without the interpreter, and without what follows the first option."""
    words: list[str] = []
    for word in command[1:]:
        if word.startswith("-") and words and not words[-1].startswith("-"):
            break
        words.append(word)
    return tuple(words)
