"""What the kernel says of processes and of their sockets: the one place that reads /proc.

Every answer may be missing: /proc is not mounted, hides other users' processes, belongs to another pid
namespace, or is an imitation that leaves fields out. A missing field is empty or 0 here.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from otel_obs.host.descriptors import Descriptor
from otel_obs.host.signals import raise_interruption, tolerate

try:
    # As `random` does: `hashlib` loads OpenSSL, for which a process may have no other use.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

_PID, _STATE, _PARENT, _SESSION, _FLAGS, _START = (
    1,
    3,
    4,
    6,
    9,
    22,
)  # fields of /proc/<pid>/stat; proc(5) counts from 1
_IMAGE_FIELDS = slice(26, 29)  # startcode, endcode, startstack
_FORKED_WITHOUT_EXEC = 0x40  # PF_FORKNOEXEC of the kernel's sched.h, which any user may see
_LOOKS, _LOOK_S = 20, 0.001
"""How often to look for a process's namespace, and the pause between, in seconds."""

_FIRST_NAMESPACE = "pid4026531836"  # PROC_PID_INIT_INO of the kernel's proc_ns.h
_ENDED = ("Z", "X")


class Process(NamedTuple):
    """What /proc says of a process.

    Attributes:
        pid: Its pid, as /proc shows it.
        parent: The pid of its parent, or of the process that adopted it.
        session: The pid of its session's leader.
        start: When it started, in clock ticks since the boot; `i` and an inode where only that is known.
        flags: The kernel's flags (`PF_…`) of it.
        image: Identifies one execution of a program; empty where this user may not see it.
        has_ended: Whether it only waits for its parent to notice its end.
    """

    pid: int
    parent: int = 0
    session: int = -1
    start: str = ""
    flags: int = 0
    image: str = ""
    has_ended: bool = False

    @property
    def is_fork(self) -> bool:
        """Whether it was forked and has executed nothing since; false where the kernel does not tell."""
        return bool(self.flags & _FORKED_WITHOUT_EXEC)


def this_process() -> Process | None:
    """This process; None where /proc does not show it. In another namespace's /proc it has another pid."""
    return _parse(_read("/proc/self/stat"))


def look_up(pid: int) -> Process | None:
    """Ask /proc about *pid*; None where it is gone, hidden, or /proc is not there."""
    return _parse(_read(f"/proc/{pid}/stat"))


def hidden_process(pid: int) -> Process:
    """A process that exists, but that /proc does not show; the kernel's own inode of it tells it apart."""
    start, has_ended = "", False
    if hasattr(os, "pidfd_open"):
        with tolerate(OSError), Descriptor(os.pidfd_open, pid) as descriptor:
            # Before Linux 6.9 all have one inode, which then says nothing, and does no harm.
            start = f"i{os.fstat(descriptor).st_ino}"
            # The descriptor becomes readable when the process ends, even before its parent has reaped it.
            poll = _own_poll()
            poll.register(descriptor, select.POLLIN)
            has_ended = bool(poll.poll(0))
    return Process(pid, session=session_of(pid), start=start, has_ended=has_ended)


def _own_poll() -> Any:
    """The system's own `select.poll`: gevent's switches greenlets, and may not be used in its loop."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey.get_original("select", "poll")() if monkey is not None else select.poll()


def session_of(pid: int) -> int:
    """The session of a process, which the kernel tells also where /proc hides it; -1 where it does not."""
    try:
        return os.getsid(pid)
    except OSError as error:
        raise_interruption(error)
        return -1


def exists(pid: int) -> bool:
    """Whether there is a process of that number, hidden ones included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError as error:
        raise_interruption(error)
    return True


def has_own_numbers() -> bool:
    """Whether /proc counts processes as `os.getpid` does, and is not that of another pid namespace."""
    this = this_process()
    return this is not None and this.pid == os.getpid()


def command_of(pid: int) -> list[str]:
    """The command line of a process, or the title that it has given itself; empty where it is hidden."""
    text = _read(f"/proc/{pid}/cmdline")
    return text.removesuffix("\0").split("\0") if text else []


def environment_of(pid: int) -> dict[str, str]:
    """The environment with which a process was executed; empty where it is hidden."""
    pairs = (entry.partition("=") for entry in _read(f"/proc/{pid}/environ").split("\0") if entry)
    return {name: value for name, _, value in pairs}


def directory_of(pid: int) -> str:
    """The working directory of a process; empty where that is gone, or not to be seen."""
    if pid != os.getpid():
        return _read_link(f"/proc/{pid}/cwd")
    try:
        return os.getcwd()
    except OSError as error:
        raise_interruption(error)
        return ""


def user_of(pid: int) -> int:
    """The user of a process, as /proc has it; -1 where it does not say."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError as error:
        raise_interruption(error)
        return -1


def program_of(pid: int) -> str:
    """The short name of a process's program, as the kernel keeps it."""
    return _read(f"/proc/{pid}/stat").partition("(")[2].rpartition(")")[0]


def children_of(pid: int) -> list[Process]:
    """The children of a process, where the kernel lists them."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError as error:
        raise_interruption(error)
        return []
    numbers = (
        number for thread in threads for number in _read(f"/proc/{pid}/task/{thread}/children").split()
    )
    found = (look_up(int(number)) for number in numbers)
    return [process for process in found if process is not None and not process.has_ended]


def pid_namespace() -> str:
    """Which numbering of processes /proc shows here; empty where it does not say."""
    own = _namespace_of("self")
    return own if has_own_numbers() or not own else f"{own}outside"


def _namespace_of(process: str, kind: str = "pid") -> str:
    return "".join(filter(str.isalnum, _read_link(f"/proc/{process}/ns/{kind}")))


def is_gone_from(namespace: str, start: str) -> bool:
    """Whether a pid namespace is known to have no process that started then.

    Only the machine's first namespace sees all others. The kernel gives the number of one that has ended to
    the next, so that another container's may have it now.

    Args:
        namespace: As `pid_namespace` gives it.
        start: As in `Process.start`.
    """
    if pid_namespace() != _FIRST_NAMESPACE:
        return False
    try:
        # The machine's process 1 is in the first namespace, and its own may be hidden: leave it out.
        processes = [name for name in os.listdir("/proc") if name.isdecimal() and name != "1"]
    except OSError as error:
        raise_interruption(error)
        return False
    # The namespace of a zombie cannot be read.
    living = [each for name in processes if (each := look_up(int(name))) is not None and not each.has_ended]
    # By its start first: a process that hides its namespace is looked at again and again.
    return not any(_may_have_started(each, start) and _may_be_in(namespace, each.pid) for each in living)


def _may_have_started(process: Process, start: str) -> bool:
    """Whether it started then, or that cannot be compared: a container may have a clock of its own."""
    if process.start == start or not start.isdecimal():
        return True
    clocks = {_namespace_of(which, "time") for which in (str(process.pid), "self")}
    return len(clocks) > 1


def _may_be_in(namespace: str, pid: int) -> bool:
    """Whether a process is in a pid namespace, or hides that; one that ends has none a moment before."""
    for _ in range(_LOOKS):
        found = _namespace_of(str(pid))
        if found:
            return found == namespace
        now = look_up(pid)
        if now is None or now.has_ended:
            return False
        time.sleep(_LOOK_S)
    return True


def boot() -> str:
    """Which start of the machine this is."""
    return _read("/proc/sys/kernel/random/boot_id").strip()


def sockets_of(pid: int) -> frozenset[int] | None:
    """The inodes of the sockets that a process holds; None where this user may not see them."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError as error:
        raise_interruption(error)
        return None
    links = (_read_link(f"/proc/{pid}/fd/{name}") for name in names)
    return frozenset(int(link[8:-1]) for link in links if link.startswith("socket:["))


def listening_sockets_of(pid: int) -> Mapping[int, tuple[int, str]]:
    """The listening sockets of a process that this user may see; addresses are as the kernel prints them."""
    listening = {}
    for name in ("tcp", "tcp6"):
        for line in _read(f"/proc/{pid}/net/{name}").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == "0A":
                listening[int(fields[9])] = fields[1]
    for line in _read(f"/proc/{pid}/net/unix").splitlines()[1:]:
        fields = line.split()
        if len(fields) > 6 and fields[3] == "00010000":
            listening[int(fields[6])] = " ".join(fields[7:])
    links = ((number, link[8:-1]) for number, link in files_of(pid).items() if link.startswith("socket:["))
    found = ((number, int(inode)) for number, inode in links)
    return {number: (inode, listening[inode]) for number, inode in found if inode in listening}


def files_of(pid: int) -> Mapping[int, str]:
    """What a process has open, by descriptor; empty where this user may not see it."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError as error:
        raise_interruption(error)
        return {}
    return {int(name): _read_link(f"/proc/{pid}/fd/{name}") for name in names}


def listening_sockets() -> Mapping[int, tuple[int, str]]:
    """This process's listening sockets: by descriptor the inode and the address."""
    try:
        names = os.listdir("/proc/self/fd")
    except OSError as error:
        raise_interruption(error)
        names = list(map(str, range(256)))
    found = {}
    for descriptor in sorted(int(name) for name in names):
        try:
            status = os.fstat(descriptor)
        except OSError as error:
            raise_interruption(error)
            continue
        if stat.S_ISSOCK(status.st_mode):
            address = _listening_address(descriptor)
            if address:
                found[descriptor] = status.st_ino, address
    return found


def _listening_address(descriptor: int) -> str:
    import socket

    from otel_obs.host.borrowed import borrowed_socket

    with tolerate(OSError), borrowed_socket(descriptor) as view:
        is_listening = view.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return repr(view.getsockname()) if is_listening else ""
    return ""


def _parse(text: str) -> Process | None:
    # The name is in parentheses and may hold anything, parentheses and spaces included.
    before, _, after = text.rpartition(")")
    fields = ["", before.partition(" ")[0], "", *after.split()]
    if len(fields) < _IMAGE_FIELDS.stop:
        return None
    image = fields[_IMAGE_FIELDS]
    try:
        pid, parent, session, flags = (int(fields[at]) for at in (_PID, _PARENT, _SESSION, _FLAGS))
    except ValueError:
        return None
    hashed = "" if set(image) <= {"0", "1"} else digest(image)
    return Process(pid, parent, session, fields[_START], flags, hashed, fields[_STATE] in _ENDED)


def digest(what: object) -> str:
    """16 hexadecimal digits that stand for *what*, by its `repr`."""
    return blake2b(repr(what).encode(errors="replace"), digest_size=8).hexdigest()


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
