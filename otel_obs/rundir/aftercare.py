"""What is done after the last worker has ended and before its master has: a short-lived process of its own.

A master that never loaded otel_obs removes nothing when it ends, and the workers end before it. The last of
them leaves this process behind, which waits for the master's end for a while and then tidies up. It goes
at once where a new worker has joined.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence

from otel_obs.host import proc
from otel_obs.host.proc import Process
from otel_obs.host.signals import tolerate
from otel_obs.rundir.directory import DIRECTORY_FLAGS, MEMBERS, RunDir, lock, remove_tree
from otel_obs.rundir.roots import LEAVING, ROOT, RecordedRoot, file_name, is_alive, is_dead, recorded

_LOCK = "aftercare.lock"
_TIGHT_S, _TIGHT_POLL_S, _POLL_S = 2.0, 0.003, 0.05
"""A container ends with its process 1: there are milliseconds between that one's last act and its end."""
_FOR_WORKERS_S, _FOR_MASTER_S, _LOOK_S = 900.0, 60.0, 1.0

# Without the site's packages, and without this package's own `__init__`: it is to start in no time.
_CODE = """
import sys, types
package = types.ModuleType("otel_obs")
package.__path__ = [sys.argv[1]]
sys.modules["otel_obs"] = package
from otel_obs.rundir.aftercare import main
main(sys.argv[2:])
"""

Shared = Mapping[int, frozenset[int]]


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

    They have its listening sockets. When the server has ended, nothing else tells whom they succeed.
    """
    for pid, listened in shared.items():
        for child in proc.children_of(pid):
            if not child.is_fork and not listened.isdisjoint(proc.sockets_of(child.pid) or ()):
                run_dir.note([file_name(child, ROOT)])


def leave_behind(run_dir: RunDir, shared: Shared) -> None:
    """Note that this process is about to end, and have somebody tidy up after the root; never raises."""
    own = proc.this_process() or proc.unseen(os.getpid())
    with tolerate(OSError, ValueError):
        run_dir.note([file_name(own, LEAVING)])
        descriptor = run_dir.open(_LOCK, os.O_CREAT | os.O_RDWR)
        try:
            if lock(descriptor, exclusive=True):
                _start(run_dir.path, shared, descriptor)
        finally:
            os.close(descriptor)  # its lock is the other process's now


def _start(path: str, shared: Shared, descriptor: int) -> None:
    sockets = [f"{pid}:{','.join(map(str, inodes))}" for pid, inodes in shared.items()]
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    started = subprocess.Popen(
        [_interpreter(), "-I", "-S", "-c", _CODE, package, path, *sockets],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={},
        pass_fds=(descriptor,),
        start_new_session=True,
    )
    started.returncode = 0  # nobody waits for it, on purpose: it outlives this process


def _interpreter() -> str:
    """Python's own program: a server written in C that has it inside, as uWSGI has, gives itself."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if "python" in os.path.basename(sys.executable) or "pypy" in os.path.basename(sys.executable):
        return sys.executable
    places = (os.path.join(prefix, "bin", version) for prefix in (sys.prefix, sys.base_prefix))
    return next((place for place in places if os.access(place, os.X_OK)), sys.executable)


def main(arguments: Sequence[str]) -> None:
    """Wait for the end of those who are about to end, then for that of the roots, and remove the directory.

    Args:
        arguments: The directory, and of each root `pid:inode,…`, the listening sockets that it had.
    """
    path, *sockets = arguments
    pairs = (each.partition(":") for each in sockets)
    shared = {int(pid): frozenset(map(int, inodes.split(","))) for pid, _, inodes in pairs if inodes}
    with contextlib.suppress(OSError):
        directory = os.open(path, DIRECTORY_FLAGS)
        began_s = time.monotonic()
        while any(is_alive(each) for each in recorded(os.listdir(directory), LEAVING)):
            if time.monotonic() - began_s > _FOR_WORKERS_S:
                return
            time.sleep(_TIGHT_POLL_S if time.monotonic() - began_s < _TIGHT_S else _POLL_S)
        began_s = looked_s = time.monotonic()
        while (now_s := time.monotonic()) - began_s < _FOR_MASTER_S:
            roots = recorded(os.listdir(directory), ROOT)
            if all(is_dead(root) or is_ending(root, shared) for root in roots):
                _remove_unless_joined(path, directory)
                return
            # Not at every look: who joins just then has to wait.
            if now_s - looked_s > _LOOK_S:
                looked_s = now_s
                with _membership_lock(directory) as is_free:
                    if not is_free:
                        return
            time.sleep(_TIGHT_POLL_S if now_s - began_s < _TIGHT_S else _POLL_S)


@contextlib.contextmanager
def _membership_lock(directory: int) -> Iterator[bool]:
    """Keep others from joining; gives whether nobody has."""
    members = os.open(MEMBERS, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        yield lock(members, exclusive=True)
    finally:
        os.close(members)


def _remove_unless_joined(path: str, directory: int) -> None:
    with _membership_lock(directory) as is_free:
        if is_free:
            user, name = os.path.split(path)
            parent = os.open(user, DIRECTORY_FLAGS)
            remove_tree(parent, name)
            os.close(parent)
            with contextlib.suppress(OSError):
                os.rmdir(user)  # refused where the user has another service


def shared_sockets(roots: Collection[Process]) -> dict[int, frozenset[int]]:
    """Of each root, the inodes of the listening sockets that it shares with this process."""
    listening = proc.listening_sockets().values()
    # A server may have others, to be told what to do by, which it closes later.
    on_ports = {inode for inode, address in listening if address.startswith("(")}
    own = frozenset(on_ports or {inode for inode, _ in listening})
    if not own:
        return {}
    found = {root.pid: own & (proc.sockets_of(root.pid) or frozenset()) for root in roots}
    return {pid: inodes for pid, inodes in found.items() if inodes}
