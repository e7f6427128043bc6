"""Which service this process belongs to, and by which rule that is known. The rules are in docs/design.md."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, Literal, NamedTuple

from otel_obs.host import proc
from otel_obs.host.proc import Process, digest
from otel_obs.rundir.lineage import (
    Lineage,
    Step,
    given_sockets,
    is_multiprocessing_child,
    is_tracker,
    may_be_given_sockets,
    predecessor,
    program,
    trace,
)

RUN_VARIABLE = "_OTEL_OBS_RUN"
KnownBy = Literal["service id", "environment", "kernel", "socket", "unknown"]
Sockets = Mapping[int, tuple[int, str]]

_REMEDY = "set OTEL_OBS_SERVICE_ID to one value for all workers of the service"


class Identity(NamedTuple):
    """Which service a process belongs to.

    Attributes:
        nonce: The name of the service's directory.
        joined: Whether others may be there before this process.
        rule: By which rule that is known.
        reason: The same in words.
        root: The process that the service lives and ends with; None where it is not known.
        heads: The processes that took over from one another, the root included.
        starter: Who has started the workers, where these have no process of their own in common.
        steps: From the process up to its root.
        remedy: What to do where it cannot be known; empty where it is.
    """

    nonce: str
    joined: bool
    rule: KnownBy = "kernel"
    reason: str = ""
    root: Process | None = None
    heads: tuple[Process, ...] = ()
    starter: Process | None = None
    steps: tuple[Step, ...] = ()
    remedy: str = ""


class Candidate(NamedTuple):
    """A process whose service is in question.

    Attributes:
        pid: Its number; where /proc shows it, `process` has the number that /proc gives it.
        process: What /proc says of it, if that is to be had.
        parent: Its parent's number.
        command: Its command line.
        environ: Its environment.
        sockets: Gives its listening sockets.
        directory: Its working directory; empty where that cannot be known.
    """

    pid: int
    process: Process | None
    parent: int
    command: Sequence[str]
    environ: Mapping[str, str]
    sockets: Callable[[], Sockets]
    directory: str = ""


def this_candidate(environ: Mapping[str, str], command: Sequence[str]) -> Candidate:
    """This process."""
    process = proc.this_process()
    parent = os.getppid() if process is None else process.parent
    directory = proc.directory_of(os.getpid())
    return Candidate(os.getpid(), process, parent, command, environ, proc.listening_sockets, directory)


def identify(
    environ: MutableMapping[str, str], command: Sequence[str], service_id: str = "", version: int = 0
) -> Identity | None:
    """Find out which service this process is a worker of, and note it for the workers to come.

    Args:
        environ: The process's environment; the private variable is read and written.
        command: The whole command line of the interpreter (`sys.orig_argv`).
        service_id: The user's `OTEL_OBS_SERVICE_ID`; empty where it is not set.
        version: The version of the files that workers share; those of another version cannot be read.

    Returns:
        None for multiprocessing's resource tracker, which is no worker of anything.
    """
    if is_tracker(command):
        return None
    candidate = this_candidate(environ, command)
    identity = decide(candidate, service_id, version)
    # Children of multiprocessing keep the note of their root, which `_by_environment` compares them with.
    if not is_multiprocessing_child(command):
        own = candidate.process or Process(os.getpid())
        place = _digest(candidate.directory)
        note = (identity.nonce, _digest(*command[1:]), own.pid, own.image, version, place)
        environ[RUN_VARIABLE] = ":".join(map(str, note))
    return identity


def decide(candidate: Candidate, service_id: str = "", version: int = 0) -> Identity:
    """Apply the rules in their order: service id, environment, kernel, socket."""
    lineage = trace(
        candidate.process,
        candidate.command,
        candidate.environ,
        lambda: frozenset(inode for inode, _ in candidate.sockets().values()),
    )
    if service_id:
        return _by_id(service_id, candidate, lineage, version)
    found = _by_environment(candidate, lineage, version)
    if found is not None:
        return found
    if lineage.root is None:
        return _unseen(candidate, version)
    if not _is_self(lineage.root, candidate):
        return _by_root(candidate, lineage, version)
    return _by_socket(candidate, lineage, version) or _by_root(candidate, lineage, version)


def _by_id(service_id: str, candidate: Candidate, lineage: Lineage, version: int) -> Identity:
    return Identity(
        f"{service_id}.{version}",
        True,
        "service id",
        f"OTEL_OBS_SERVICE_ID={service_id} says so",
        lineage.root,
        lineage.executed,
        _starter(candidate) if _is_self(lineage.root, candidate) else None,
        lineage.steps,
    )


def _by_environment(candidate: Candidate, lineage: Lineage, version: int) -> Identity | None:
    """Join what an earlier process of the service has named in the environment.

    Every program that is started inherits the variable, so it is not enough to have it: only a
    re-execution of the same command joins, and children of multiprocessing whose own root has set it. The
    same words elsewhere are another command: `python main.py` in two directories.
    """
    noted = candidate.environ.get(RUN_VARIABLE, "").split(":")
    nonce, command_digest, first_pid, first_image, noted_version, place = (*noted, *[""] * 6)[:6]
    if not nonce or noted_version != str(version) or not _is_name(nonce):
        return None
    root, is_child = lineage.root, is_multiprocessing_child(candidate.command)
    is_there = place == _digest(candidate.directory) or first_pid == str(candidate.pid)
    if command_digest == _digest(*candidate.command[1:]) and is_there:
        reason = f"process {first_pid} has named it, which ran the same command"
    elif is_child and first_pid == str(root.pid if root else candidate.parent):
        reason = f"process {first_pid} has named it, which is the root of this one"
    elif is_child and root is not None and root.image == first_image != "":
        # The root is a daemon: a fork of the process that set the variable and has ended since.
        reason = f"process {first_pid} has named it, of which the root of this one is a fork"
    else:
        return None
    heads = lineage.executed
    if is_child and root is None:  # /proc shows nothing
        root = proc.hidden_process(candidate.parent)
        heads = (root,)
    return Identity(nonce, True, "environment", reason, root, heads, None, lineage.steps)


def _by_root(candidate: Candidate, lineage: Lineage, version: int) -> Identity:
    root = lineage.root
    assert root is not None
    # The name includes the image: a process that executes another program is another service. A fork has the
    # same image as its root, also where the root is another user's and the kernel hides it.
    process = candidate.process
    image = root.image or (process.image if process is not None and process.is_fork else "")
    name = digest((root.pid, root.start, image, *_machine(), version))
    if _is_self(root, candidate):
        reason = "this process is the root of its service: it was executed"
    else:
        reason = f"process {root.pid} is the root of this one"
    return Identity(name, False, "kernel", reason, root, lineage.executed, None, lineage.steps)


def _by_socket(candidate: Candidate, lineage: Lineage, version: int) -> Identity | None:
    """Join the siblings that their common parent told to use the same listening socket."""
    if not may_be_given_sockets(candidate.command, candidate.environ):
        return None
    given = given_sockets(candidate.command, candidate.environ, candidate.pid, candidate.sockets())
    starter = _starter(candidate)
    if not given or starter is None:
        return None
    what = program(candidate.command)
    name = digest(
        ("socket", [inode for inode, _ in given], starter.pid, starter.start, what, *_machine(), version)
    )
    addresses = ", ".join(address for _, address in given)
    reason = f"process {starter.pid} gave this one the listening socket of its workers ({addresses})"
    return Identity(name, True, "socket", reason, lineage.root, lineage.executed, starter, lineage.steps)


def _unseen(candidate: Candidate, version: int) -> Identity:
    """Identify a process that /proc does not show, by what other system calls tell of it."""
    parent = proc.hidden_process(candidate.parent)
    if is_multiprocessing_child(candidate.command) or _is_fork_by_its_own_word(candidate):
        name = digest((parent.pid, parent.start, "", *_machine(), version))
        reason = f"process {parent.pid} has started it by multiprocessing; /proc shows neither"
        return Identity(name, False, "kernel", reason, parent, (parent,))
    held = sorted(set(candidate.sockets().values()))
    if held:
        # The parent is taken for the root: a server's master, whose workers may all be replaced at once. The
        # service is named after the master that this one takes over from, as long as that is there.
        before = predecessor(candidate.environ)
        heads = (parent, proc.hidden_process(before)) if before and proc.exists(before) else (parent,)
        first = heads[-1]
        name = digest(("held", held, first.pid, first.start, program(candidate.command), version))
        addresses = ", ".join(address for _, address in held)
        reason = f"it shares a listening socket ({addresses}) with other children of process {parent.pid}"
        return Identity(name, True, "socket", reason, parent, heads, parent)
    reason = "/proc does not show this process, so that nobody can tell whose worker it is"
    return Identity(os.urandom(8).hex(), False, "unknown", reason, remedy=_REMEDY)


def _is_fork_by_its_own_word(candidate: Candidate) -> bool:
    """Whether multiprocessing, or Celery's edition of it, says in this process that its parent forked it."""
    if candidate.pid != os.getpid():
        return False
    process: Any = sys.modules.get("multiprocessing.process")
    parent = process.parent_process() if process is not None else None
    celerys: Any = sys.modules.get("billiard.process")
    known = {parent.pid if parent is not None else None}
    if celerys is not None:
        known.add(celerys.current_process()._parent_pid)
    return candidate.parent in known


def _starter(candidate: Candidate) -> Process | None:
    if candidate.parent <= 0:
        return None
    return proc.look_up(candidate.parent) or proc.hidden_process(candidate.parent)


def _machine() -> tuple[str, str]:
    return proc.pid_namespace(), proc.boot()


def _is_self(root: Process | None, candidate: Candidate) -> bool:
    return root is None or candidate.process is None or root.pid == candidate.process.pid


def is_first(identity: Identity) -> bool:
    """Whether this process is its service's first, and so not one of several workers; true where unknown."""
    if identity.rule in ("service id", "socket"):
        return False
    this = proc.this_process()
    return identity.root is None or this is None or identity.root.pid == this.pid


def _digest(*words: str) -> str:
    return f"{zlib.crc32(chr(0).join(words).encode(errors='surrogateescape')):08x}"


def _is_name(text: str) -> bool:
    return len(text) == 16 and all(letter in "0123456789abcdef" for letter in text)


def siblings_alike(candidate: Candidate) -> list[int]:
    """Other processes that run the same program for the same parent, and may be workers of one service.

    The parents may be forks of one process, as honcho has one for each.
    """
    process = candidate.process
    if process is None:
        return []
    what = program(candidate.command)
    parent = proc.look_up(process.parent)
    forks = proc.children_of(parent.parent) if parent is not None and parent.is_fork else []
    parents = {process.parent, *(each.pid for each in forks if parent and each.image == parent.image != "")}
    return [
        each.pid
        for number in sorted(parents)
        for each in proc.children_of(number)
        if each.pid != process.pid and what and program(proc.command_of(each.pid)) == what
    ]
