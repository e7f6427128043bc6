"""Which process is which part of a stack: a file for each part, and a lock for who changes the stack.

A file holds the pid and the start time of a part's process. Both together identify it: pids are reused.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from otel_obs.errors import OperationsError
from otel_obs.ops.stack.programs import PARTS
from otel_obs.rundir.directory import fcntl

_MAX_CLOCK_S, _POLL_S, _MAX_PID = 2.0, 0.1, 2**31


class PartRecord(NamedTuple):
    """What is kept of a part that was started.

    Attributes:
        pid: Its process.
        began_s: When that process began, as the system says it.
        port: Its port.
        ready_port: The port of its readiness check.
        ports: All its ports, by their names.
    """

    pid: int
    began_s: float
    port: int
    ready_port: int
    ports: Mapping[str, int]


def record_path(root: Path, name: str) -> Path:
    """The file of a part."""
    return root / "run" / f"{name}.json"


def read_part(root: Path, name: str) -> PartRecord | None:
    """What is kept of a part; None where there is nothing that can be read."""
    try:
        found = json.loads(record_path(root, name).read_text())
        pid, port = int(found["pid"]), int(found["port"])
        ports = {str(key): int(value) for key, value in found.get("ports", {name: port}).items()}
        record = PartRecord(pid, float(found["began_s"]), port, int(found.get("ready_port", port)), ports)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    numbers = (record.port, record.ready_port, *ports.values())
    return record if 0 < pid < _MAX_PID and all(0 < number < 65536 for number in numbers) else None


def write_record(root: Path, name: str, record: PartRecord) -> None:
    """Keep what is known of a part. A reader sees the whole file, or the one before."""
    path = record_path(root, name)
    partly = path.with_suffix(".part")
    partly.write_text(json.dumps(record._asdict()))
    partly.replace(path)


def remove_record(root: Path, name: str) -> None:
    """Forget a part."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        record_path(root, name).unlink()


def running_pid(root: Path, name: str) -> int | None:
    """The pid of a part, if that process is still the one that was started."""
    import psutil

    record = read_part(root, name)
    if record is None:
        return None
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(record.pid)
        is_same = abs(process.create_time() - record.began_s) < _MAX_CLOCK_S
        if is_same and process.status() != psutil.STATUS_ZOMBIE:
            return process.pid
    return None


def running_ports(root: Path) -> dict[str, int]:
    """The ports of the parts that run, by their names."""
    records = [read_part(root, part.name) for part in PARTS if running_pid(root, part.name) is not None]
    return {name: port for record in records if record is not None for name, port in record.ports.items()}


@contextmanager
def only_one(root: Path, say: Callable[[str], None] = lambda text: None) -> Iterator[None]:
    """Wait until no other command starts or stops parts of this stack, and keep others out meanwhile.

    The lock ends with the process that has it, however that ends.

    Raises:
        OperationsError: The directory cannot be made or written to.
    """
    path = root / "run" / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OperationsError(
            f"--dir {root}", f"cannot be used: {error.strerror}", "choose another --dir"
        ) from None
    try:
        if _is_taken(descriptor):
            say(f"waiting for another command that starts or stops the stack in {root}")
            while _is_taken(descriptor):
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _is_taken(descriptor: int) -> bool:
    """Whether another process has the lock; where there are no locks, nobody has."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
