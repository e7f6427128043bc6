"""How long a scrape keeps an event loop waiting: a coroutine in a real uvicorn sleeps a millisecond.

120,000 lines: 10,000 label sets, each a counter and a histogram of 8 bounds. A lag counts as far as other
threads of the process had the processor meanwhile, since the machine itself makes everybody late; `idle` is
the same without a scrape. Every figure is the longest lag of one scrape: medians of several, of first scrapes
of several processes.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SERIES = 2_000 if os.environ.get("OTEL_OBS_BENCH_QUICK") else 10_000
PROCESSES = 3
SCRAPES = 7
GOAL_MS = 5.0

SERVER = """
import asyncio, json, sys, time
import uvicorn
import otel_obs
from opentelemetry import metrics

BOUNDS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0)
lags = []
state = {}


def others_s():
    return time.process_time() - time.thread_time()


async def probe():
    while True:
        began_s, others_began_s = time.perf_counter(), others_s()
        await asyncio.sleep(0.001)
        late_s = time.perf_counter() - began_s - 0.001
        lags.append(min(late_s, others_s() - others_began_s))


def fill(first, count):
    if not state:
        meter = metrics.get_meter("bench")
        state["requests"] = meter.create_counter("bench_requests")
        state["duration"] = meter.create_histogram(
            "bench_duration", explicit_bucket_boundaries_advisory=BOUNDS
        )
    for number in range(first, first + count):
        labels = {"endpoint": f"/items/{number}", "method": "GET", "status_code": str(200 + number % 5)}
        state["requests"].add(3, labels)
        state["duration"].record(0.07, labels)


async def app(scope, receive, send):
    path = scope["path"].split("/")
    if path[1] == "fill":
        fill(int(path[2]), int(path[3]))
        if "probe" not in state:
            state["probe"] = asyncio.create_task(probe())
    body = json.dumps(lags).encode()
    lags.clear()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


uvicorn.run(otel_obs.instrument(app), port=int(sys.argv[1]), log_level="warning", lifespan="off")
"""


class Server:
    """A service in a process of its own, with a probe in its event loop."""

    def __init__(self, port: int, metrics_port: int) -> None:
        self._port, self._metrics_port = port, metrics_port

    def get(self, path: str, port: int | None = None) -> bytes:
        """GET *path* on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self._port, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def fill(self, first: int, count: int) -> None:
        """Have series that are numbered from *first* on."""
        self.get(f"/fill/{first}/{count}")

    def longest_lag_ms(self, work: Callable[[], object]) -> float:
        """The longest lag while *work* is done."""
        self.get("/")
        work()
        lags: list[float] = json.loads(self.get("/"))
        return max(lags) * 1000

    def scrape(self) -> None:
        """One whole scrape."""
        assert self.get("/metrics", self._metrics_port).count(b"\n") > 12 * SERIES


@contextmanager
def served(has_own_port: bool = False) -> Iterator[Server]:
    """A server that has its series, and was never scraped; it may serve metrics on a port of their own."""
    port = metrics_port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    env["OTEL_OBS_CARDINALITY_LIMIT"] = str(10 * SERIES)
    if has_own_port:
        metrics_port = free_port()
        env |= {
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(metrics_port),
            "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        }
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(port)], env=env)
    server = Server(port, metrics_port)
    try:
        _wait(server, process)
        server.fill(0, SERIES)
        yield server
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < until_s:
        try:
            server.get("/")
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the server does not answer: {process.poll()}")


def run() -> list[tuple[str, float, float]]:
    """Measure, in milliseconds."""
    first, warm, grown, idle = [], [], [], []
    for _ in range(PROCESSES):
        with served() as server:
            first.append(server.longest_lag_ms(server.scrape))
            for _ in range(SCRAPES):
                warm.append(server.longest_lag_ms(server.scrape))
                idle.append(server.longest_lag_ms(lambda: time.sleep(0.1)))
            for new in range(SCRAPES):
                server.fill(SERIES + new, 1)
                grown.append(server.longest_lag_ms(server.scrape))
    lines = f"{12 * SERIES:,} lines"
    return [
        (f"event loop's longest lag in a scrape of {lines}, ms", statistics.median(warm), GOAL_MS),
        ("in the first scrape of a process, ms", statistics.median(first), GOAL_MS),
        ("in a scrape after one new series, ms", statistics.median(grown), GOAL_MS),
        ("without a scrape, ms", statistics.median(idle), GOAL_MS),
    ]


if __name__ == "__main__":
    for what, figure, goal in run():
        print(f"{what:<60}{figure:>10.3f}{goal:>8}")
