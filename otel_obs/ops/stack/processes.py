"""Start the parts of a stack, show their states, and stop them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from otel_obs.errors import OperationsError
from otel_obs.ops.stack.programs import (
    BY_NAME,
    LOOPBACK,
    MORE_PORTS,
    PARTS,
    Placement,
    StackPart,
    all_ports,
    part_program,
)
from otel_obs.ops.stack.records import (
    PartRecord,
    only_one,
    read_part,
    remove_record,
    running_pid,
    running_ports,
    write_record,
)
from otel_obs.reading.last_lines import last_lines

READY_S, END_S, POLL_S, RELOAD_S = 60.0, 15.0, 0.1, 30.0
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class PartState(NamedTuple):
    """The state of one part.

    Attributes:
        name: The name of the part.
        pid: Its process; None where it does not run.
        port: Its port.
        is_ready: Whether its readiness check answers 200.
        log: The path of its log.
    """

    name: str
    pid: int | None
    port: int
    is_ready: bool
    log: str


def start_stack(
    root: Path,
    ports: Mapping[str, int],
    retention: str = "15d",
    size: str = "10GB",
    say: Callable[[str], None] = lambda text: None,
    renewed: Collection[str] = (),
) -> list[PartState]:
    """Start the parts that do not run yet, and wait until these are ready.

    Args:
        root: The directory of the stack; its `config` is there already.
        ports: Ports that differ from the defaults, by part or by name of `MORE_PORTS`.
        retention: How long data are kept.
        size: The most space that samples may take.
        say: Called with progress messages.
        renewed: The parts whose configuration has changed; those that run reload it.

    Raises:
        OperationsError: A program is missing, a port is taken, or a part ends or is not ready in time. Parts
            that this call started are stopped again.
    """
    ports = stack_ports(root, ports)
    chosen = list(_chosen(root))
    waiting = [(part, program) for part, program in chosen if running_pid(root, part.name) is None]
    for part in (part for part, program in chosen if (part, program) not in waiting):
        is_stale = part.name in renewed
        say(_renew(root, part) if is_stale else f"{part.name} runs already: {_address(root, part)}")
    _check_ports({name: ports[name] for part, _ in waiting for name in _names_of_ports(part)})
    started: list[StackPart] = []
    try:
        for part, program in waiting:
            at = Placement(root, ports[part.name], retention, size)
            started.append(part)
            _start(root, part, program, at, {name: ports[name] for name in _names_of_ports(part)})
            say(f"started {part.name}")
        for part in started:
            _wait(root, part)
            say(f"{part.name} is ready at {_address(root, part)}")
    except BaseException:
        for part in started:
            _end(root, part)
        raise
    return stack_state(root)


def _chosen(root: Path) -> Iterator[tuple[StackPart, str]]:
    """The parts that can be started, each with its program."""
    for part in PARTS:
        program = part_program(part, root)
        if not program and part.is_needed:
            raise OperationsError(
                " or ".join(part.commands), "is not on the path", "install it, or run: otel-obs stack fetch"
            )
        if program and (not part.config or (root / "config" / part.config).is_file()):
            yield part, program


def stack_state(root: Path) -> list[PartState]:
    """The state of each part that has been started and not been stopped."""
    return list(_states(root))


def stack_ports(root: Path, given: Mapping[str, int]) -> dict[str, int]:
    """Every port of a stack by its name: *given* ones, those of parts that run, and the defaults.

    Raises:
        OperationsError: A part runs at another port than the one that is given.
    """
    taken = running_ports(root)
    for name, port in given.items():
        if taken.get(name, port) != port:
            raise OperationsError(
                f"--port {name}={port}",
                f"cannot be: it runs already, at {taken[name]}",
                f"leave the option out, or end the stack first: otel-obs stack down --dir {root}",
            )
    return all_ports({**taken, **given})


def stop_stack(root: Path, say: Callable[[str], None] = lambda text: None) -> list[str]:
    """Stop every part: SIGTERM first, SIGKILL after 15 seconds. Return the names of those that ran."""
    if not (root / "run").is_dir():
        return []
    ended = []
    with only_one(root, say):
        for part in reversed(PARTS):
            if _end(root, part):
                ended.append(part.name)
                say(f"ended {part.name}")
    return ended


def log_of(root: Path, name: str) -> Path:
    """The log of a part.

    Raises:
        OperationsError: There is no such part, or it was never started.
    """
    if name not in BY_NAME:
        raise OperationsError(f"part {name!r}", "does not exist", f"expected one of {', '.join(BY_NAME)}")
    path = root / "log" / f"{name}.log"
    if not path.is_file():
        raise OperationsError(name, f"has no log in {root}", "start it with: otel-obs stack up")
    return path


def logs_of(root: Path) -> list[Path]:
    """The logs of the parts that were ever started.

    Raises:
        OperationsError: There is none.
    """
    paths = [root / "log" / f"{part.name}.log" for part in PARTS]
    found = [path for path in paths if path.is_file()]
    if not found:
        raise OperationsError(f"--dir {root}", "has no logs", "start a stack with: otel-obs stack up")
    return found


def _states(root: Path) -> Iterator[PartState]:
    for part in PARTS:
        record = read_part(root, part.name)
        if record is not None:
            pid = running_pid(root, part.name)
            ready = pid is not None and _answers(part, record.ready_port)
            yield PartState(part.name, pid, record.port, ready, str(root / "log" / f"{part.name}.log"))


def _names_of_ports(part: StackPart) -> list[str]:
    return [part.name, *(name for name in MORE_PORTS if name.startswith(f"{part.name}-"))]


def _check_ports(ports: Mapping[str, int]) -> None:
    owners: dict[int, str] = {}
    for name, port in ports.items():
        if (other := owners.setdefault(port, name)) != name:
            raise OperationsError(
                f"port {port} of {name}", f"is that of {other}", f"choose another with --port {name}=PORT"
            )
    for name, port in ports.items():
        _check_port(name, port)


def _check_port(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise OperationsError(
                f"port {port} of {name}",
                f"cannot be taken: {reason}",
                f"end who has it, or choose another with --port {name}=PORT",
            ) from None


def _start(root: Path, part: StackPart, program: str, at: Placement, ports: Mapping[str, int]) -> None:
    log = root / "log" / f"{part.name}.log"
    try:
        for directory in ("log", "run", f"data/{part.data}"):
            (root / directory).mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                [program, *part.arguments(at)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise OperationsError(
            f"{part.name}", f"cannot be started: {error.strerror}", f"look at {program} and at --dir {root}"
        ) from None
    ready_port = ports[part.ready_port or part.name]
    try:
        record = PartRecord(process.pid, _beginning(process.pid), at.port, ready_port, ports)
        write_record(root, part.name, record)
    except BaseException:  # without its record nothing could stop it later
        process.kill()
        process.wait()
        raise


def _beginning(pid: int) -> float:
    """When a process began."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return time.time()  # it has ended already; `_wait` reports that


def _address(root: Path, part: StackPart) -> str:
    record = read_part(root, part.name)
    return f"http://{LOOPBACK}:{record.port if record else part.port}"


def _renew(root: Path, part: StackPart) -> str:
    """Let a running part reload its configuration; return a message about the result."""
    if not part.reload_path:
        return f"{part.name} runs already, and has its old configuration until it is ended and started again"
    request = urllib.request.Request(_address(root, part) + part.reload_path, method="POST")
    try:
        with _direct.open(request, timeout=RELOAD_S):
            return f"{part.name} runs already, and has read its configuration anew: {_address(root, part)}"
    except urllib.error.HTTPError as error:
        problem = error.read().decode(errors="replace").strip()
    except OSError as error:
        problem = str(error)
    return f"{part.name} goes on with its old configuration: {problem}"


def _wait(root: Path, part: StackPart) -> None:
    deadline_s = time.monotonic() + READY_S
    while True:
        record = read_part(root, part.name)
        has_ended = record is None or running_pid(root, part.name) is None
        if record is not None and not has_ended and _answers(part, record.ready_port):
            return
        if has_ended or time.monotonic() > deadline_s:
            problem = "ended at its start" if has_ended else f"is not ready after {READY_S:g} s"
            path = root / "log" / f"{part.name}.log"
            raise OperationsError(
                part.name, problem, f"the end of {path}:\n" + "\n".join(last_lines(path, 5))
            )
        time.sleep(POLL_S)


def _answers(part: StackPart, port: int) -> bool:
    try:
        with _direct.open(f"http://{LOOPBACK}:{port}{part.ready_path}", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _end(root: Path, part: StackPart) -> bool:
    """Stop a part; return whether it ran. If its pid is gone or was reused, only the file is removed."""
    pid = running_pid(root, part.name)
    if pid is not None:
        _signal(pid, signal.SIGTERM)
        deadline_s = time.monotonic() + END_S
        while running_pid(root, part.name) is not None:
            if time.monotonic() > deadline_s:
                _signal(pid, signal.SIGKILL)
            time.sleep(POLL_S)
            _reap(pid)
    remove_record(root, part.name)
    return pid is not None


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
