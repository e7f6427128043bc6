"""The root processes of a service, as its directory names them, and whether they are alive.

A master that never loaded otel_obs is no member, and may be without workers for a moment. Empty files in the
directory name such processes, so that a sweep does not take the service for dead.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from otel_obs.host import proc
from otel_obs.host.proc import Process

ROOT, STARTER, LEAVING = ".root", ".starter", ".leaving"
"""The endings of these files: a root that the service ends with, a process that may start more workers, and
a process that is about to end."""


class RecordedRoot(NamedTuple):
    """A process as a file's name records it, and that name."""

    pid: int
    start: str
    image: str
    place: str
    name: str


def file_name(process: Process, ending: str) -> str:
    """The name of the file that records *process*."""
    return f"{process.pid}-{process.start}-{process.image}-{_place()}{ending}"


def own_file_name(ending: str) -> str:
    """The name of the file that records this process, also where `/proc` hides it."""
    return file_name(proc.this_process() or proc.hidden_process(os.getpid()), ending)


def recorded_roots(names: Iterable[str], *endings: str) -> list[RecordedRoot]:
    """The processes that the files of these endings name; other names are left out."""
    found = []
    for name in names:
        ending = next((ending for ending in endings if name.endswith(ending)), "")
        parts = name.removesuffix(ending).split("-")
        if ending and len(parts) == 4 and parts[0].isdecimal():
            found.append(RecordedRoot(int(parts[0]), parts[1], parts[2], parts[3], name))
    return found


def is_alive(process: RecordedRoot) -> bool | None:
    """Whether the process still runs, and its pid was not reused; None where that cannot be known."""
    if process.place != _place():
        # Processes of another boot are dead; those of another pid namespace cannot be looked up one by one.
        namespace, _, boot = process.place.rpartition(".")
        if not boot or not _boot():
            return None  # there was no /proc then, or is none now
        return False if boot != _boot() or proc.is_gone_from(namespace, process.start) else None
    now = proc.look_up(process.pid)
    if now is None:
        return _is_alive_unseen(process)
    if now.has_ended:
        return False
    # Recorded while /proc hid it: the inodes are compared.
    if process.start.startswith("i"):
        return proc.hidden_process(process.pid).start in ("", process.start)
    return now.start == process.start and (not now.image or not process.image or now.image == process.image)


def _is_alive_unseen(process: RecordedRoot) -> bool | None:
    """The same for a process that /proc does not show: it is gone or hidden, or there is no /proc."""
    this = proc.this_process()
    if this is not None and not proc.has_own_numbers():
        return False  # this /proc of another pid namespace would show it, by the pid that it has there
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
    """The pid namespace and the boot in which a pid means a process."""
    return f"{proc.pid_namespace()}.{_boot()}"


def _boot() -> str:
    return proc.boot()[:8]
