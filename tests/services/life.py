"""One life of one service: started, hurt, stopped; what it counts is compared at every step."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from otel_obs.rundir.tidying import DOUBT
from tests.services import opened
from tests.services.table import FRONTS, SITUATIONS, Cell
from tests.support import leftovers
from tests.support.ports import free_port
from tests.support.processes import Service, tool
from tests.support.programs import ROOT, run
from tests.support.running import is_running
from tests.support.samples import parse_samples
from tests.support.waiting import until
from tests.support.web import request

READY_S, CALM_S, GONE_S = 150.0, 150.0, 170.0
"""How long to wait for a start, for the end of an event, and until nothing is left, on a busy machine."""

BURST, SCRAPES = 12, 5
NEIGHBOUR = """
from otel_obs import prometheus
prometheus.Counter("neighbour", "Of another service").inc()
assert prometheus.generate_latest().decode().count("neighbour_total 1.0") == 1
"""
AS_NOBODY = "import os, pwd; os.setuid(pwd.getpwnam('nobody').pw_uid)"
CIRCUS = """\
[circus]
endpoint = ipc://{dir}/control
pubsub_endpoint = ipc://{dir}/events
check_delay = 0.5
loglevel = ERROR
[watcher:web]
cmd = {command} --fd $(circus.sockets.web)
numprocesses = 2
use_sockets = True
copy_env = True
working_dir = {root}
[socket:web]
host = 127.0.0.1
port = {port}
"""


class Life:
    """A running service, and what it was sent so far."""

    def __init__(self, cell: Cell, base: Path, directory: Path) -> None:
        self.cell, self._base, self._directory = cell, base, directory
        self.sent = 0
        self.successor: psutil.Process | None = None
        self._master: psutil.Process | None = None
        ports = [free_port(), free_port()]
        self._service = Service("", cwd=ROOT, env=self._env(), log_file=directory / "log", ready_path=None)
        self._service.command = self._command(ports)
        is_supervised = any("{ports}" in word for word in cell.server.command)
        self._ports = ports if is_supervised else [self._service.port]

    def _env(self) -> dict[str, str]:
        env = {
            "MATRIX_WAY": self.cell.way,
            "OTEL_OBS_RUN_DIR": str(self._base),
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **dict(self.cell.server.env),
        }
        if self.cell.situation == "other titles":
            env["MATRIX_TITLE"] = "1"
        return env

    def _command(self, ports: list[int]) -> list[str]:
        wrapper = [tool("opentelemetry-instrument"), "--"] if self.cell.way == "wrapper" else []
        command: list[str] = []
        for word in self.cell.server.command:
            filled = word.replace("{port}", str(self._service.port)).replace("{dir}", str(self._directory))
            filled = filled.replace("{ports}", ",".join(map(str, ports)))
            command += wrapper if word == "{wrapper}" else [filled]
        if self.cell.server.needs == "circus":
            self._write_circus(wrapper)
        elif "{wrapper}" not in self.cell.server.command:
            command = [*wrapper, *command]
        shown = opened.front() if self.cell.server.family == "another user" else []
        return [*SITUATIONS[self.cell.situation], *shown, *command]

    def _write_circus(self, wrapper: list[str]) -> None:
        """As bentoml has it: the arbiter has the socket, and executes each worker as a command of its own."""
        from tests.services.table import ASGI

        command = " ".join([*wrapper, tool("uvicorn"), "--log-level", "warning", ASGI])
        text = CIRCUS.format(dir=self._directory, command=command, root=ROOT, port=self._service.port)
        (self._directory / "circus.ini").write_text(text)

    def __enter__(self) -> Life:
        self._service.__enter__()
        try:
            until(self.is_ready, f"{self.cell.name} answering", READY_S)
            leftovers.watch(os.getsid(self.master.pid))  # a daemon has its own
            self.wait_for_workers()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.end()
        if kind is not None:
            print(f"log of {self.cell.name}:\n{self._service.log}")

    def end(self) -> None:
        """End whatever is left of it."""
        with contextlib.suppress(psutil.Error, OSError, ValueError):
            leftovers.end(os.getsid(self.master.pid))
        self._service.stop()

    def is_ready(self) -> bool:
        """Whether every port answers."""
        if self._service.process.poll() not in (None, 0):
            raise RuntimeError(f"{self.cell.name} ended with {self._service.process.returncode}")
        return all(self._get(port, "/health") for port in self._ports)

    @staticmethod
    def _get(port: int, path: str) -> str:
        answer = request(f"http://127.0.0.1:{port}{path}", timeout_s=30)
        assert answer.status == 200, f"{path} answered {answer.status}: {answer.text[:200]}"
        return answer.text

    @property
    def master(self) -> psutil.Process:
        """The server's first process."""
        if self.successor is not None:
            return self.successor
        pid_file = self._directory / "pid"
        if self.cell.server.family == "daemon":
            return psutil.Process(int(pid_file.read_text()))
        if self._master is None:
            process = psutil.Process(self._service.pid)
            while process.name() in FRONTS:
                (process,) = process.children()
            self._master = process
        return self._master

    def workers(self) -> set[int]:
        """The processes that serve, where they can be told from others."""
        found = set()
        for child in self.master.children():
            with contextlib.suppress(psutil.Error):
                words = " ".join(child.cmdline())
                if child.status() != psutil.STATUS_ZOMBIE and not any(
                    other in words for other in ("resource_tracker", "aftercare", "forkserver")
                ):
                    found.add(child.pid)
        return found

    def wait_for_workers(self, count: int | None = None, without: Collection[int] = ()) -> None:
        """Wait until there are as many as there are to be, none of *without* among them, and they answer."""
        wanted = self.cell.server.workers if count is None else count
        if wanted:
            until(
                lambda: len(self.workers()) == wanted and self.workers().isdisjoint(without),
                f"{wanted} workers of {self.cell.name}",
                CALM_S,
            )
        until(self.is_ready, f"{self.cell.name} answering", READY_S)

    def send(self, count: int = BURST) -> None:
        """Send requests, some at once."""

        def one(number: int) -> str:
            return self._get(self._ports[number % len(self._ports)], "/hit")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(one, range(count)))
        self.sent += count

    def compare(self) -> None:
        """See every request on every scrape, whoever answers it, and nothing of another service."""
        for _ in range(SCRAPES):
            for port in self._ports:
                page = self._scrape(port)
                samples = parse_samples(page)
                counted = samples.total("hits_total") + samples.total("http_requests_total", endpoint="/hit")
                assert counted == self.sent, f"{self.cell.name}: {counted} of {self.sent} are counted"
                assert "neighbour" not in page

    def _scrape(self, port: int) -> str:
        """A page; a worker that is replaced just now may refuse."""
        return until(lambda: self._get(port, "/metrics"), f"a scrape of {self.cell.name}", CALM_S)

    def happen(self, event: str) -> None:
        """Do something to it, and wait until that is over."""
        EVENTS[event](self)

    def signal(self, *numbers: signal.Signals) -> None:
        """Send signals to the first process."""
        for number in numbers:
            os.kill(self.master.pid, number)

    def run_neighbour(self) -> None:
        """Have another service of the same user begin, sweep and end."""
        is_another = self.cell.server.family == "another user"
        code = f"{AS_NOBODY}{NEIGHBOUR}" if is_another else NEIGHBOUR
        run(code, env={"OTEL_OBS_RUN_DIR": str(self._base)}, front=opened.front() if is_another else ())

    def stop(self) -> None:
        """Have it end as its operator would, and wait for that, and until nothing is left."""
        master = self.master
        self._let_all_serve()
        os.kill(master.pid, signal.SIGTERM)
        until(lambda: not is_running(master), f"the end of {self.cell.name}", CALM_S)
        if self.cell.is_tidied_later:
            # What ends last is the namespace: until then its processes are there, and hold the directory.
            until(
                lambda: self._service.process.poll() is not None,
                f"the end of the container of {self.cell.name}",
                CALM_S,
            )
            self.run_neighbour()
            if self.cell.server.family == "another user":
                # Who is not root sees no other namespace end, and waits for an hour.
                for doubt in self._base.rglob(DOUBT):
                    os.utime(doubt, (0, 0))
                self.run_neighbour()
        until(self._has_left_nothing, f"{self.cell.name} leaves nothing", GONE_S)

    def _has_left_nothing(self) -> bool:
        left = [str(path.relative_to(self._base)) for path in self._base.rglob("*")]
        assert not left, left
        return True

    def _let_all_serve(self) -> None:
        """Wait until every worker has answered: granian never ends where SIGTERM finds one that begins."""
        answered: set[str] = set()

        def all_have() -> bool:
            answered.add(self._get(self._ports[0], "/health"))
            return len(answered) >= len(self.workers())

        if self.cell.server.needs == "granian":
            with contextlib.suppress(TimeoutError):  # one of them may get all the connections
                until(all_have, "an answer of every worker", READY_S / 5)


def _hup(life: Life) -> None:
    before = life.workers()
    life.signal(signal.SIGHUP)
    life.wait_for_workers(without=before)


def _more_and_fewer(life: Life) -> None:
    life.signal(signal.SIGTTIN)
    life.wait_for_workers(life.cell.server.workers + 1)
    life.signal(signal.SIGTTOU)
    life.wait_for_workers()


def _kill_all(life: Life) -> None:
    """Kill every worker; another service begins, sweeps and ends before the next ones have joined."""
    before = life.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    life.run_neighbour()
    life.wait_for_workers(without=before)


def _upgrade(life: Life) -> None:
    """gunicorn's USR2: another master beside the first, which ends then."""
    old, wanted = life.master, life.cell.server.workers
    before = {each.pid for each in old.children()}
    life.signal(signal.SIGUSR2)
    added = until(lambda: [each for each in old.children() if each.pid not in before], "the new master")
    (new,) = added
    until(lambda: len(new.children()) == wanted, "the new master's workers", CALM_S)
    until(life.is_ready, f"{life.cell.name} answering", READY_S)
    life.send()
    life.compare()
    # A container would end with the old one.
    leaving, life.successor = (new, None) if life.cell.situation.endswith("process 1") else (old, new)
    leaving.send_signal(signal.SIGTERM)
    until(lambda: not is_running(leaving), "the end of a master", CALM_S)


def _touch(life: Life) -> None:
    before = life._get(life._ports[0], "/health")

    def is_another() -> bool:
        (life._directory / "changed.py").write_text(f"number = {os.urandom(4).hex()!r}\n")
        with contextlib.suppress(TimeoutError):
            return until(lambda: life._get(life._ports[0], "/health") != before, "another process", 5)
        return False

    until(is_another, "a reload", CALM_S)


EVENTS: dict[str, Callable[[Life], None]] = {
    "HUP": _hup,
    "TTIN and TTOU": _more_and_fewer,
    "kill -9": _kill_all,
    "USR2": _upgrade,
    "touch": _touch,
}


def live(cell: Cell) -> None:
    """Lead the whole life, in a directory of its own."""
    with places() as (base, directory), Life(cell, base, directory) as life:
        life.send()
        life.compare()
        for event in cell.server.events:
            life.happen(event)
            life.compare()
            life.send()
            life.compare()
        life.stop()


@contextlib.contextmanager
def places() -> Iterator[tuple[Path, Path]]:
    """Where the service's numbers are, and where its own files are."""
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory() as directory:
        base = Path(tempfile.mkdtemp(prefix="services-", dir=parent))
        base.chmod(0o1777)
        Path(directory).chmod(0o755)
        try:
            yield base, Path(directory)
        finally:
            shutil.rmtree(base, ignore_errors=True)
