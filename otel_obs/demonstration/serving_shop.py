"""The shop as a process: gunicorn with workers under the wrapper, as one starts one's own service."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from types import TracebackType

from otel_obs.errors import MissingPackageError, UnreadableError
from otel_obs.reading.fetch import Fetching
from otel_obs.reading.last_lines import last_lines_of
from otel_obs.settings.environment import process_environment

HOST = "127.0.0.1"
BACKLOG = 256
READY_S, STOP_S = 60.0, 10.0
LIFE = 2_000
"""After so many requests a worker is replaced, which the page shows."""
NEEDED = {"flask": "Flask", "gunicorn": "gunicorn"}


class ShopService:
    """gunicorn with the shop; it runs inside of the `with` block.

    Args:
        workers: How many workers there are.

    Raises:
        MissingPackageError: Flask or gunicorn is not installed.
    """

    def __init__(self, workers: int) -> None:
        for module, package in NEEDED.items():
            if importlib.util.find_spec(module) is None:
                raise MissingPackageError("otel-obs demo", package, "demo")
        self._workers = workers
        self._listener = socket.create_server((HOST, 0), backlog=BACKLOG)
        self.port: int = self._listener.getsockname()[1]
        self.metrics_url = f"http://{HOST}:{self.port}/metrics"

    def __enter__(self) -> ShopService:
        self._log = tempfile.TemporaryFile()
        descriptor = self._listener.fileno()
        gunicorn = [
            *("-m", "gunicorn", "-w", str(self._workers), "-b", f"fd://{descriptor}", "--threads", "4"),
            *("--max-requests", str(LIFE), "--max-requests-jitter", str(LIFE // 2)),
            "otel_obs.demonstration.shop:make_shop()",
        ]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "otel_obs.run", sys.executable, *gunicorn],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            # Control and C is for the command, which ends the service.
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
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()

    def wait_until_ready(self) -> None:
        """Wait until a worker answers.

        Raises:
            UnreadableError: None does; the service's last lines are in the message.
        """
        deadline_s = time.monotonic() + READY_S
        while time.monotonic() < deadline_s and self._process.poll() is None:
            try:
                if Fetching({}, 2.0).fetch(self.metrics_url).status == 200:
                    return
            except UnreadableError:
                pass
            time.sleep(0.1)
        raise UnreadableError(self.metrics_url, f"does not answer; the service says:\n{self._last_lines()}")

    def _last_lines(self, count: int = 15) -> str:
        return "\n".join(last_lines_of(self._log, count))


def _environment() -> dict[str, str]:
    """What the service inherits: nothing that is set for telemetry or for the server of another one."""
    foreign = ("OTEL_", "PROMETHEUS_MULTIPROC_DIR", "GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "FLASK_")
    return {
        **{name: value for name, value in process_environment().items() if not name.startswith(foreign)},
        "OTEL_SERVICE_NAME": "shop",
    }
