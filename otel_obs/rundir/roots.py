"""The processes that a service lives with, as its directory names them, and whether they are alive.

A master that never loaded otel_obs is no member, and its workers may all be gone for a moment. What it
is called stands in the directory, as the names of empty files, so that nobody takes it for dead.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from otel_obs.host import proc
from otel_obs.host.proc import Process

ROOT, STARTER, LEAVING = ".root", ".starter", ".leaving"
"""The endings of such files: who a service ends with, who may start more workers, who is about to end."""


class RecordedRoot(NamedTuple):
    """A process as a file's name has it, and that name."""

    pid: int
    start: str
    image: str
    place: str
    name: str


def file_name(process: Process, ending: str) -> str:
    """What the file is called that names *process*."""
    return f"{process.pid}-{process.start}-{process.image}-{_place()}{ending}"


def recorded_roots(names: Iterable[str], *endings: str) -> list[RecordedRoot]:
    """The processes that files of these endings name; what is no such name is left out."""
    found = []
    for name in names:
        ending = next((ending for ending in endings if name.endswith(ending)), "")
        parts = name.removesuffix(ending).split("-")
        if ending and len(parts) == 4 and parts[0].isdecimal():
            found.append(RecordedRoot(int(parts[0]), parts[1], parts[2], parts[3], name))
    return found


def is_alive(process: RecordedRoot) -> bool | None:
    """Whether it still runs, and its number was not given to another; None where that is not to know."""
    if process.place != _place():
        # Another boot's processes are all dead; another pid namespace's cannot be asked for one by one.
        namespace, _, boot = process.place.rpartition(".")
        return False if boot != _boot() or proc.is_namespace_empty(namespace) else None
    now = proc.look_up(process.pid)
    if now is None:
        return _is_alive_unseen(process)
    if now.has_ended:
        return False
    if process.start.startswith("i"):
        return proc.hidden_process(process.pid).start in ("", process.start)
    return now.start == process.start and (not now.image or not process.image or now.image == process.image)


def _is_alive_unseen(process: RecordedRoot) -> bool | None:
    """The same of a process that /proc does not show, be it gone or hidden, or is there no /proc at all."""
    this = proc.this_process()
    if this is not None and not proc.has_own_numbers():
        return False  # it would be shown, by the number that it has there
    if not proc.exists(process.pid):
        return False
    now = proc.hidden_process(process.pid)
    if now.has_ended:
        return False
    if process.start.startswith("i") and now.start:
        return now.start == process.start
    return None


def is_dead(process: RecordedRoot) -> bool:
    """Whether it is known to have ended."""
    return is_alive(process) is False


def _place() -> str:
    """The pid namespace and the boot that numbers of processes are of."""
    return f"{proc.pid_namespace()}.{_boot()}"


def _boot() -> str:
    return proc.boot()[:8]
