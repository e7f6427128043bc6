"""Celery's forked workers: a thread of the first process hands every request on as a task."""

from __future__ import annotations

import contextlib
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from celery import Celery, signals

WAY = os.environ["MATRIX_WAY"]
if WAY == "prometheus":
    from otel_obs import prometheus

    hits: Any = prometheus.Counter("hits", "Tasks").inc
else:
    from opentelemetry import metrics

    if WAY == "one line":
        import otel_obs

        otel_obs.configure()
    counter = metrics.get_meter("counted").create_counter("hits")

    def hits() -> None:
        """Count one."""
        counter.add(1)


app: Any = Celery("counted", broker="memory://")  # who sends is the process that receives


def hit() -> str:
    """Count one."""
    hits()
    return str(os.getpid())


def health() -> str:
    """Say which process works."""
    return str(os.getpid())


def metrics_page() -> str:
    """What all workers have counted."""
    import otel_obs

    return otel_obs.get_metrics()[0].decode()


for task in (hit, health, metrics_page):
    app.task(name=f"/{task.__name__.removesuffix('_page')}")(task)


def result_of(name: str) -> str:
    """What a worker answers; a file that is being written just now cannot be read yet."""
    sent = app.send_task(name)
    while True:
        with contextlib.suppress(ValueError):
            return str(sent.get(timeout=30, interval=0.02, disable_sync_subtasks=False))


class Front(BaseHTTPRequestHandler):
    """Answers with what a worker says."""

    def do_GET(self) -> None:
        """Have a worker do it."""
        answer = result_of(self.path).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are no news."""


def main(port: int, directory: Path) -> None:
    """Work until SIGTERM."""
    (directory / "done").mkdir()
    app.conf.result_backend = f"file://{directory}/done"
    app.conf.broker_transport_options = {"polling_interval": 0.05}

    def ready(**_: object) -> None:
        server = ThreadingHTTPServer(("127.0.0.1", port), Front)
        Thread(target=server.serve_forever, daemon=True).start()

    signals.worker_ready.connect(ready, weak=False)
    quiet = ("--loglevel", "warning", "--without-gossip", "--without-mingle", "--without-heartbeat")
    # A worker that is killed may hold the lock of all, where there is no broker of a machine's own.
    recycled = ("--max-tasks-per-child", "5")
    app.worker_main(["worker", "--pool", "prefork", "--concurrency", "2", *recycled, *quiet])


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
