"""Requests a second under wrk, and how many of those that were sent one scrape shows.

Every library serves the same trivial handler under the same server; all of a server's kinds live at the same
time and are loaded in turn, so that what slows the machine slows all. Those that need a directory for several
workers are given one: what is compared is their cost, set up as their pages say.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator

from benchmarks.comparison import (
    FLASK_EXPORTER,
    INSTRUMENTATOR,
    NOTHING,
    OURS,
    STARLETTE_EXPORTER,
    STOCK,
    Figure,
    figure,
)
from benchmarks.throughput import wait_for

PATH, CONNECTIONS, SENT = "/items/7", 8, 200
FLASK = {NOTHING: "bare", OURS: "ours", FLASK_EXPORTER: "exporter", STOCK: "stock"}
FASTAPI = {
    NOTHING: "bare",
    OURS: "ours",
    INSTRUMENTATOR: "instrumentator",
    STARLETTE_EXPORTER: "starlette",
    STOCK: "stock",
}
COUNTS = re.compile(
    r"^(\w*(?:requests?_total|request_duration_seconds_count|server_duration_milliseconds_count))"
    r"\{(.*)\} (\S+)$",
    re.MULTILINE,
)
MODULE = "benchmarks.comparison.servers"
SERVERS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "Flask under gunicorn": (
        FLASK,
        (
            *("gunicorn", "--log-level", "error", "--workers", "{n}", "--bind", "127.0.0.1:{port}"),
            MODULE + ":{kind}_flask()",
        ),
    ),
    "FastAPI under uvicorn": (
        FASTAPI,
        (
            *("uvicorn", "--log-level", "error", "--no-access-log", "--workers", "{n}", "--port", "{port}"),
            *("--factory", MODULE + ":{kind}_fastapi"),
        ),
    ),
    "FastAPI under granian": (
        FASTAPI,
        (
            *(
                "granian",
                "--log-level",
                "error",
                "--interface",
                "asgi",
                "--workers",
                "{n}",
                "--port",
                "{port}",
            ),
            *("--factory", MODULE + ":{kind}_fastapi"),
        ),
    ),
}


def measure(quick: bool) -> list[Figure]:
    """Requests a second; and how many of 200 that four workers answered are seen, without any set-up."""
    rounds, seconds = (2, 1) if quick else (5, 1)
    figures = []
    for server in SERVERS:
        for workers in (2,) if quick else (1, 2, 4):
            figures += rates(server, workers, rounds, seconds)
    for server in SERVERS:
        figures += [seen(server, who) for who in SERVERS[server][0] if who != NOTHING]
    return figures


def rates(server: str, workers: int, rounds: int, seconds: int) -> list[Figure]:
    """Every kind, in turn."""
    done: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        urls = {}
        for who in SERVERS[server][0]:
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            set_up = (
                {"PROMETHEUS_MULTIPROC_DIR": directory} if workers > 1 and who not in (OURS, STOCK) else {}
            )
            urls[who] = stack.enter_context(serving(server, who, workers, set_up))
        for _ in range(rounds):
            for who, url in urls.items():
                done.setdefault(who, []).append(load(url + PATH, seconds))
    what = f"{server}, {workers} worker{'s' if workers > 1 else ''}"
    return [figure(what, who, "requests/s", values) for who, values in done.items()]


def seen(server: str, who: str, workers: int = 4) -> Figure:
    """What one scrape shows of 200 requests; nothing is set up but what the library's first page says."""
    with serving(server, who, workers, {}, warm="/metrics") as url:
        for _ in range(SENT):
            _get(url + PATH)
        shown = _shown(url)
    return figure(f"{server}, {workers} workers, seen of {SENT} requests", who, "requests", [shown])


def _shown(url: str) -> float:
    page = _get(url + "/metrics")
    families: dict[str, float] = {}
    for name, labels, value in COUNTS.findall(page):
        if "items" in labels:
            families[name] = families.get(name, 0.0) + float(value)
    return max(families.values(), default=0.0)


def _get(url: str) -> str:
    request = urllib.request.Request(url, headers={"Connection": "close"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        text: str = answer.read().decode()
    return text


@contextlib.contextmanager
def serving(server: str, who: str, workers: int, set_up: dict[str, str], warm: str = PATH) -> Iterator[str]:
    """A service, and its URL; until all workers are there it is asked for *warm*."""
    kinds, command = SERVERS[server]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    filled = [part.format(port=port, n=workers, kind=kinds[who]) for part in command]
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "_OTEL_", "PROM"))
    }
    process = subprocess.Popen(
        [sys.executable, "-m", *filled],
        env={**kept, **set_up},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url + warm, process, 120)
        _wait_for_all(url + warm, workers)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_all(url: str, workers: int) -> None:
    """Workers that come up late would take none of the load: ask until all had time to start."""
    until_s = time.monotonic() + 0.5 * workers
    while time.monotonic() < until_s:
        _get(url)


def load(url: str, seconds: int) -> float:
    """Requests a second that a service answers.

    Raises:
        RuntimeError: wrk is not there, or had an answer that was none.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise RuntimeError("wrk is not installed; on Debian install it with: scripts/apt-install wrk")
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"^Requests/sec:\s+([\d.]+)$", said, re.MULTILINE)
    if found is None or "Non-2xx" in said:
        raise RuntimeError(f"wrk had no good answers from {url}:\n{said}")
    return float(found[1])
