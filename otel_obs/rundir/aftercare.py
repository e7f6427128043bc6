"""The aftercare process, which removes a run directory when the workers and their master have ended.

A master that never loaded otel_obs removes nothing when it ends, and its workers end before it. The last
worker starts this process, which waits a while for the master's end and then removes the directory. It ends
at once when a new worker has joined. As a service ends, the server may kill its last worker before that
worker can start this process. So the first worker that ends starts it, if the master is or may be about to
end.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

from otel_obs.host import proc
from otel_obs.host.descriptors import Descriptor
from otel_obs.host.proc import Process
from otel_obs.host.signals import tolerate
from otel_obs.rundir.apart import sweep_marks
from otel_obs.rundir.directory import (
    DIRECTORY_FLAGS,
    MEMBERS,
    MEMBERS_FLAGS,
    RunDir,
    lock,
    remove_tree,
    unlock,
)
from otel_obs.rundir.roots import (
    LEAVING,
    ROOT,
    RecordedRoot,
    file_name,
    is_alive,
    is_dead,
    own_file_name,
    recorded_roots,
)

_LOCK = "aftercare.lock"
_PACES = ((2.0, 0.003), (60.0, 0.05), (math.inf, 0.5))
"""Until so long after news, the pause between two looks, both in seconds. A container ends with its process
1: from the last act of process 1 to the end of all there are only milliseconds."""
_FOR_WORKERS_S, _LOOK_S = 900.0, 1.0

WhoLeft = Literal["by the last", "beside others", "by the first"]
_FOR_MASTER_S: Mapping[str, float] = {"by the last": 60.0, "beside others": 180.0, "by the first": math.inf}
"""How long to wait for the end of a live master, by which worker started the wait. Servers kill workers that
do not end within a minute or so, and nothing tells beforehand whether the master ends at all."""

# Without site-packages and without this package's own `__init__`: the process has to start fast.
_CODE = """
import sys, types
package = types.ModuleType("otel_obs")
package.__path__ = [sys.argv[1]]
sys.modules["otel_obs"] = package
from otel_obs.rundir.aftercare import main
main(sys.argv[2:])
"""

Shared = Mapping[int, frozenset[int]]
"""By the pid of a root, the inodes of the listening sockets that it shares with its workers."""


def is_ending(root: RecordedRoot, shared: Shared) -> bool:
    """Whether a server has closed the listening sockets that it shared with its workers, as it does to end.

    Args:
        root: The server.
        shared: Of every server that may be asked, the inodes of those sockets.
    """
    listened = shared.get(root.pid)
    if not listened:
        return False
    held = proc.sockets_of(root.pid)
    return held is not None and held.isdisjoint(listened)


def note_successors(run_dir: RunDir, shared: Shared) -> None:
    """Name the programs that a server has executed to take over from it, whose workers may join later.

    They have its listening sockets. Once the server has ended, nothing else shows whom they replace.
    """
    for pid, listened in shared.items():
        for child in proc.children_of(pid):
            if not child.is_fork and not listened.isdisjoint(proc.sockets_of(child.pid) or ()):
                run_dir.note([file_name(child, ROOT)])


def leave_behind(run_dir: RunDir, shared: Shared, left: WhoLeft = "by the last") -> None:
    """Start the aftercare process, unless one is running; never raises.

    Args:
        run_dir: The directory.
        shared: Of the roots, the inodes of the listening sockets that they share with their workers.
        left: By which worker. All but the first are about to end, which the directory then records.
    """
    with tolerate(OSError, ValueError):
        # Before the lock: the aftercare process looks for these names once more after it has unlocked.
        if left != "by the first":
            run_dir.note([own_file_name(LEAVING)])
        with run_dir.open(_LOCK, os.O_CREAT | os.O_RDWR) as descriptor:
            if lock(descriptor, exclusive=True):
                _start(run_dir.path, shared, descriptor, left)  # it inherits the lock


def _start(path: str, shared: Shared, descriptor: int, left: WhoLeft) -> None:
    sockets = [f"{pid}:{','.join(map(str, inodes))}" for pid, inodes in shared.items()]
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    started = subprocess.Popen(
        [_interpreter(), "-I", "-S", "-c", _CODE, package, path, str(descriptor), left, *sockets],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={},
        pass_fds=(descriptor,),
        start_new_session=True,
    )
    started.returncode = 0  # so that `Popen` neither waits nor warns: the process outlives this one


def _interpreter() -> str:
    """Python's executable: in a server written in C, such as uWSGI, `sys.executable` may be the server."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if "python" in os.path.basename(sys.executable) or "pypy" in os.path.basename(sys.executable):
        return sys.executable
    places = (os.path.join(prefix, "bin", version) for prefix in (sys.prefix, sys.base_prefix))
    return next((place for place in places if os.access(place, os.X_OK)), sys.executable)


def main(arguments: Sequence[str]) -> None:
    """Wait for the end of the leaving workers, then of the roots, and remove the directory.

    Args:
        arguments: The directory, the descriptor of the lock that this process holds, which worker started it,
            and for each root `pid:inode,…`, the listening sockets that it had.
    """
    path, descriptor, left, *sockets = arguments
    pairs = (each.partition(":") for each in sockets)
    shared = {int(pid): frozenset(map(int, inodes.split(","))) for pid, _, inodes in pairs if inodes}
    # A SIGTERM that reaches this process too is meant for the service, whose end this process waits for.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        _Aftercare(path, left, shared).run(int(descriptor))


class _Aftercare:
    """Waits until no process needs a directory, and then removes it."""

    def __init__(self, path: str, left: str, shared: Shared) -> None:
        self._path, self._left, self._shared = path, left, shared
        self._opened = Descriptor(os.open, path, DIRECTORY_FLAGS)
        self._directory = self._opened.number
        self._leaving: frozenset[str] = frozenset()
        self._news_s = self._alone_s = self._looked_s = time.monotonic()

    def run(self, descriptor: int) -> None:
        """Wait and tidy up. The lock on *descriptor* tells workers that an aftercare process is running."""
        while True:
            while self._goes_on():
                calm_s = time.monotonic() - max(self._news_s, self._alone_s)
                time.sleep(next(pause_s for until_s, pause_s in _PACES if calm_s < until_s))
            # A worker that left just now found the lock held, and relies on this process: look once more.
            unlock(descriptor)
            if not self._has_news() or not lock(descriptor, exclusive=True):
                return

    def _has_news(self) -> bool:
        """Whether further workers have recorded that they are about to end."""
        names = frozenset(each.name for each in recorded_roots(os.listdir(self._directory), LEAVING))
        before, self._leaving = self._leaving, names
        if names - before:
            self._news_s = time.monotonic()
        return bool(names - before)

    def _goes_on(self) -> bool:
        """Whether to keep waiting; removes the directory when no root needs it."""
        self._has_news()
        now_s = time.monotonic()
        if any(map(is_alive, recorded_roots(self._leaving, LEAVING))):
            self._alone_s = now_s
            return now_s - self._news_s < _FOR_WORKERS_S
        roots = recorded_roots(os.listdir(self._directory), ROOT)
        if all(is_dead(root) or is_ending(root, self._shared) for root in roots):
            # The remaining members are about to end too, or to be killed.
            return not self._remove() and now_s - self._alone_s < _FOR_WORKERS_S
        if self._left == "by the last" and now_s - self._looked_s > _LOOK_S:
            # Not at every look: a worker that joins during this check has to wait.
            self._looked_s = now_s
            with _membership_lock(self._directory) as is_free:
                # A worker that has joined has removed the records of those that have ended. Where they are
                # there, a process that counts as ended has threads that hold its files a while longer.
                if not is_free and not self._leaving:
                    return False
        if now_s - max(self._news_s, self._alone_s) < _FOR_MASTER_S[self._left]:
            return True
        if proc.this_process() is None:
            # Without /proc a root is only a process that has started the workers, and may live for ever.
            self._remove()
        return False

    def _remove(self) -> bool:
        """Remove the directory, unless it has members."""
        with _membership_lock(self._directory) as is_free:
            if is_free:
                user, name = os.path.split(self._path)
                with Descriptor(os.open, user, DIRECTORY_FLAGS) as parent:
                    remove_tree(parent, name)
                sweep_marks(user)
                with contextlib.suppress(OSError):
                    os.rmdir(user)  # refused where the user has another service
        return is_free


@contextlib.contextmanager
def _membership_lock(directory: int) -> Iterator[bool]:
    """Keep others from joining meanwhile; yields whether there are no members."""
    with Descriptor(os.open, MEMBERS, MEMBERS_FLAGS, dir_fd=directory) as members:
        yield lock(members, exclusive=True)


def shared_sockets(roots: Collection[Process]) -> dict[int, frozenset[int]]:
    """Of each root, the inodes of the listening sockets that it shares with this process."""
    listening = proc.listening_sockets().values()
    # A server may also listen on a Unix socket for commands, which it closes later. The address of a TCP
    # socket is a tuple, and so begins with a parenthesis.
    on_ports = {inode for inode, address in listening if address.startswith("(")}
    own = frozenset(on_ports or {inode for inode, _ in listening})
    if not own:
        return {}
    found = {root.pid: own & (proc.sockets_of(root.pid) or frozenset()) for root in roots}
    return {pid: inodes for pid, inodes in found.items() if inodes}
