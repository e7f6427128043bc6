"""The classifier as a process: started as in production, watched, hurt and stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType

import psutil

EXAMPLE = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
PREFERRED_PORT = 8000
BACKLOG = 512
BROKEN_WHILE = "DEMO_BROKEN_WHILE"
"""Names the file that the model of `demo.breakable` does not load beside."""
READY_S = 180.0  # the first time, workers compile all that they import
STOP_S = 10.0

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServiceError(Exception):
    """The service does not do what the demonstration needs; the message is for the person at the terminal."""


def listen() -> socket.socket:
    """Listen on port 8000 where it is free, or else on any free one.

    The service gets the socket itself: between finding a free port and using it, another may take it.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, PREFERRED_PORT))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        listener = socket.create_server((HOST, 0), backlog=BACKLOG)
    return listener


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of a file of `NAME=value` lines."""
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if line)


class Service:
    """`opentelemetry-instrument gunicorn`; running inside the `with` block."""

    def __init__(self, workers: int, is_breakable: bool = False) -> None:
        self.worker_count = workers
        self._directory = tempfile.TemporaryDirectory()
        self._broken = Path(self._directory.name) / "broken"
        self._app = "demo.breakable:app" if is_breakable else "app:app"
        self._listener = listen()
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        self.metrics_url = f"{self.url}/metrics"
        self._log, path = tempfile.mkstemp()
        os.unlink(path)

    def __enter__(self) -> Service:
        tools = Path(sys.executable).parent
        descriptor = self._listener.fileno()
        options = "-w", str(self.worker_count), "-b", f"fd://{descriptor}"
        # A session of its own, so that Ctrl-C ends the traffic first and the service after the report.
        self._process = subprocess.Popen(
            [tools / "opentelemetry-instrument", "--", tools / "gunicorn", *options, self._app],
            cwd=EXAMPLE,
            env={
                **os.environ,
                **read_env_file(EXAMPLE / "service.env"),
                "APP_ENV": "demo",
                BROKEN_WHILE: str(self._broken),
            },
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[descriptor],
        )
        self._listener.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            for worker in self.workers():
                os.kill(worker, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        os.close(self._log)
        self._directory.cleanup()

    def break_model(self) -> None:
        """Workers that start from now on cannot load their model."""
        self._broken.touch()

    def repair_model(self) -> None:
        """Workers that start from now on can."""
        self._broken.unlink(missing_ok=True)

    def workers(self) -> list[int]:
        """The process ids of the live workers."""
        try:
            children = psutil.Process(self._process.pid).children()
            return [child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE]
        except psutil.NoSuchProcess:
            return []

    def wait_until_ready(self) -> None:
        """Wait until a worker answers on /metrics; that request itself is not counted.

        Raises:
            ServiceError: It ended, or does not answer.
        """
        last = "nothing"
        deadline_s = time.monotonic() + READY_S
        while time.monotonic() < deadline_s:
            if self._process.poll() is not None:
                raise ServiceError(f"the service ended with {self._process.returncode}:\n{self.log_tail()}")
            try:
                self.read_metrics()
                return
            except OSError as error:
                last = str(error)
            time.sleep(0.1)
        raise ServiceError(
            f"{self.metrics_url} does not answer ({last}); the service says:\n{self.log_tail()}"
        )

    def wait_for_workers(self, without: int) -> bool:
        """Wait until the number of workers is whole again, the worker *without* not among them."""
        deadline_s = time.monotonic() + STOP_S
        while time.monotonic() < deadline_s:
            workers = self.workers()
            if without not in workers and len(workers) == self.worker_count:
                return True
            time.sleep(0.05)
        return False

    def kill(self, worker: int) -> None:
        """End one worker with SIGKILL, and wait until it is gone."""
        os.kill(worker, signal.SIGKILL)
        while worker in self.workers():
            time.sleep(0.01)

    def read_metrics(self) -> str:
        """The text of /metrics, from whichever worker answers.

        Raises:
            OSError: It could not be read.
        """
        with _direct.open(self.metrics_url, timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def log_tail(self, lines: int = 15) -> str:
        """The last lines that the service printed."""
        text = os.pread(self._log, os.fstat(self._log).st_size, 0).decode(errors="replace")
        return "\n".join("    " + line for line in text.splitlines()[-lines:])
