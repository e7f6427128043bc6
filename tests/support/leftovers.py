"""Ends what a test run leaves running when it is killed: servers, and who restarts them.

A service leads a session of its own, so no signal of the terminal reaches it, and a supervisor that nobody
ends starts its workers for ever. A guard beside the test run waits for the end of the run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path

import psutil

from tests.support.running import is_running

ENDED_S = 15.0
"""How long to wait until what is killed has ended: until then it holds ports and files."""

LOOK_S = 0.5
"""How often the guard looks whether the test run is there."""

_lock = threading.Lock()
_guards: dict[int, subprocess.Popen[bytes]] = {}
"""The guard of each process that starts services: a fork of the test run is not its guard's parent."""


def watch(session: int) -> None:
    """Have the session with this id ended when this process ends, however that is; `end` ends it before."""
    _tell(f"+{session}")


def _tell(line: str) -> None:
    with _lock:
        guard = _guards.get(os.getpid())
        if guard is None or guard.poll() is not None:
            command = [sys.executable, "-m", "tests.support.leftovers", str(os.getpid())]
            guard = _guards[os.getpid()] = subprocess.Popen(
                command,
                cwd=Path(__file__).resolve().parents[2],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        assert guard.stdin is not None
        guard.stdin.write(f"{line}\n".encode())
        guard.stdin.flush()


def members(sessions: Collection[int]) -> set[int]:
    """The processes of these sessions, orphans included, and all below them, of whatever session."""
    processes = {process.pid: process for process in psutil.process_iter()}
    below: dict[int, list[int]] = {}
    found: list[int] = []
    for pid, process in processes.items():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            below.setdefault(process.ppid(), []).append(pid)
            if os.getsid(pid) in sessions and process.status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    known = set(found)
    while found:
        added = [pid for pid in below.get(found.pop(), ()) if pid not in known]
        known.update(added)
        found += added
    return known


def end(session: int) -> None:
    """Kill a session that is watched. Its id may be another's from now on, so the guard forgets it."""
    if session != os.getsid(0):
        _kill({session})
        _tell(f"-{session}")


def _kill(sessions: Collection[int]) -> None:
    """Kill all of these sessions; all are stopped first, that nobody starts another in the meantime."""
    stopped: set[int] = set()
    while added := members(sessions) - stopped:
        _signal(added, signal.SIGSTOP)
        stopped |= added
    _signal(stopped, signal.SIGKILL)
    deadline_s = time.monotonic() + ENDED_S
    while any(map(is_running, stopped)) and time.monotonic() < deadline_s:
        time.sleep(0.01)


def _signal(pids: Collection[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def guard(parent: int) -> None:
    """Learn the sessions from the standard input until the parent ends; end those then."""
    sessions: set[int] = set()
    rest = b""
    os.set_blocking(0, False)
    is_over = False
    while not is_over:
        # Whether the input has ended says less than the parent: a fork of the test run may keep it open.
        is_over = os.getppid() != parent
        with contextlib.suppress(BlockingIOError):
            while read := os.read(0, 65536):
                *lines, rest = (rest + read).split(b"\n")
                for line in lines:
                    (sessions.add if line[:1] == b"+" else sessions.discard)(int(line[1:]))
        if not is_over:
            time.sleep(LOOK_S)
    _kill(sessions)


if __name__ == "__main__":
    guard(int(sys.argv[1]))
