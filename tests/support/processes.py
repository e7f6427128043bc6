"""Real servers as child processes: a free port, a start, a log, an end."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import psutil

from tests.support import leftovers
from tests.support.ports import free_port
from tests.support.running import is_running
from tests.support.samples import Samples, parse_samples
from tests.support.waiting import until
from tests.support.web import Response, request

STOP_S = 15.0
SCRUBBED = ("OTEL_", "PROMETHEUS_", "GUNICORN_", "WEB_CONCURRENCY", "FLASK_")

S = TypeVar("S", bound="Service")


def tool(name: str) -> str:
    """A command that is installed beside the running Python."""
    return str(Path(sys.executable).with_name(name))


def clean_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without what would configure telemetry or servers, and with *extra*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SCRUBBED)}
    return {**kept, "PYTHONUNBUFFERED": "1", **(extra or {})}


def named_workers(command: Sequence[str]) -> int:
    """How many workers a server's command asks for; 0 where they are not to be this command's children."""
    server = {Path(word).name for word in command[:3]} & {"gunicorn", "uvicorn", "hypercorn", "granian"}
    options = dict(itertools.pairwise(command))
    named = options.get("-w") or options.get("--workers") or ""
    # One worker may be the server's first process itself.
    is_several = named.isdecimal() and int(named) > 1
    return int(named) if server and is_several and "--daemon" not in command else 0


class Service:
    """A server process that speaks HTTP on a loopback port.

    Use it as a context manager: the process is running inside, its whole family is gone after. `{port}` in
    the command is replaced by a free port. What it prints is in `log`.
    """

    def __init__(
        self,
        *command: str,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        log_file: str | Path,
        ready_path: str | None = "/health",
        ready_s: float = 120.0,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.command = [part.replace("{port}", str(self.port)) for part in command]
        self.ready_path, self.ready_s = ready_path, ready_s
        self._cwd, self._env, self._log_file = cwd, clean_env(env), Path(log_file)

    def __enter__(self: S) -> S:
        with self._log_file.open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        leftovers.watch(self.pid)
        try:
            if self.ready_path is not None:
                until(self._is_ready, f"{self.command[0]} answering {self.ready_path}", self.ready_s)
                # The first worker may answer before the last one is forked.
                named = named_workers(self.command)
                until(
                    lambda: len(self.workers()) >= named,
                    f"{named} workers of {self.command[0]}",
                    self.ready_s,
                )
        except BaseException:
            self.stop()
            self._show_log()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None:
            self._show_log()

    def _show_log(self) -> None:
        print(f"log of {' '.join(self.command)}:\n{self.log}")

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.command[0]} ended with {self.process.returncode} before it was ready")
        return self.get(self.ready_path or "/").status < 500

    @property
    def pid(self) -> int:
        """The first process's id: the master, where there are workers."""
        return self.process.pid

    @property
    def log(self) -> str:
        """What the service has printed so far."""
        return self._log_file.read_text(errors="replace")

    def workers(self) -> list[int]:
        """The ids of the first process's live children."""
        return sorted(child.pid for child in psutil.Process(self.pid).children() if is_running(child))

    def wait_for_workers(self, count: int) -> list[int]:
        """Wait until there are *count* workers and return their ids."""
        until(lambda: len(self.workers()) == count, f"{count} workers")
        return self.workers()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Response:
        """GET a path of the service."""
        return request(self.url + path, headers=headers)

    def post(self, path: str, json_body: object) -> Response:
        """POST JSON to a path of the service."""
        return request(self.url + path, json_body=json_body)

    def scrape(self, path: str = "/metrics") -> Samples:
        """What the service's metrics say now."""
        answer = self.get(path)
        assert answer.status == 200, f"{path} answered {answer.status}: {answer.text[:500]}"
        return parse_samples(answer.text)

    def kill(self, pid: int) -> None:
        """Kill one process of the service with SIGKILL and wait until it is gone."""
        os.kill(pid, signal.SIGKILL)
        until(lambda: pid not in self.workers(), f"the end of process {pid}")

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """End the service and all that it started; its first process's exit code.

        The first process is asked politely; who is left after that is killed.
        """
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_S)
        leftovers.end(self.pid)
        return self.process.wait(STOP_S)
