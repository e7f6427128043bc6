"""A WSGI application that logs what it counts, and does to its process what it is asked to.

It is bare: what is under test is the recording, and it starts fast.
"""

from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry import metrics

import otel_obs

otel_obs.configure()
counter = metrics.get_meter("hurt").create_counter("hits")
durations = metrics.get_meter("hurt").create_histogram("took", "s")
gauge = metrics.get_meter("hurt").create_gauge("level")


if "FAULT_EARLY" in os.environ:
    durations.record(0.5)


class Life:
    """One process from its fork to its end: a name that is never used again, and its log."""

    def __init__(self) -> None:
        self.pid = 0
        self.lock = threading.Lock()
        os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self.lock = threading.Lock()

    def begin(self) -> None:
        """Start over in a process that is new."""
        if self.pid != os.getpid():
            self.name = secrets.token_hex(4)
            path = os.path.join(os.environ["FAULT_LOG"], self.name)
            self.log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self.bound = counter.bind({"life": self.name})  # type: ignore[attr-defined]
            self.pid = os.getpid()


LIFE = Life()


def hit() -> str:
    """Count one, between two bytes of the log: what was acknowledged is in there twice."""
    with LIFE.lock:
        LIFE.begin()
        os.write(LIFE.log, b"b")
        LIFE.bound.add(1)
        os.write(LIFE.log, b"e")
    durations.record(0.1 * (LIFE.pid % 7 + 1))
    return LIFE.name


def level() -> str:
    """Set a gauge."""
    gauge.set(1)
    return "set"


def fork() -> str:
    """Count in a child too, and leave it behind."""
    pid = os.fork()
    if pid == 0:
        hit()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pause()
        os._exit(0)
    return str(pid)


def execute() -> str:
    """Count, and become another program."""
    hit()
    os.execv("/bin/sleep", ["sleep", "0.2"])


def start() -> str:
    """Run an instrumented program."""
    code = (
        "import otel_obs; otel_obs.configure(); from opentelemetry import metrics\n"
        "metrics.get_meter('hurt').create_counter('hits').add(1000)\n"
        "print(otel_obs.get_metrics()[0].decode())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def spawn() -> str:
    """Count in a process that multiprocessing executes, and wait for its end."""
    process = multiprocessing.get_context("spawn").Process(target=hit)
    process.start()
    process.join()
    return str(process.exitcode)


ACTIONS: dict[str, Callable[[], str]] = {
    "/hit": hit,
    "/level": level,
    "/fork": fork,
    "/exec": execute,
    "/spawn": spawn,
    "/start": start,
    "/pid": lambda: str(os.getpid()),
    "/health": lambda: "ok",
}


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Do what the path says."""
    body = ACTIONS[environ["PATH_INFO"]]().encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


measured = otel_obs.instrument(app)


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """The same for ASGI."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = ACTIONS[scope["path"]]().encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


measured_asgi = otel_obs.instrument(asgi)
