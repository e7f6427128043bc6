"""What a scrape costs: by lines in one process, and over workers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

from prometheus_client import generate_latest

from benchmarks.comparison import CLIENT, CLIENT_OVER_WORKERS, OURS, STOCK, Figure, figure
from benchmarks.exposition import body, ours, prometheus_client_registry, stock_registry
from benchmarks.workers import BOUNDS, THEIRS, fork_recording, scrape_of
from otel_obs.cells.membership import Service
from otel_obs.cells.view import MergedView
from otel_obs.cells.worker import Worker
from otel_obs.sdk import MeterProvider

LINES_OF_A_SET = 12
SETS = 1_000


def measure(quick: bool) -> list[Figure]:
    """Milliseconds of a scrape."""
    figures = []
    for lines in (1_000, 100_000) if quick else (1_000, 10_000, 100_000, 1_000_000):
        figures += by_lines(lines, 1 if quick or lines == 1_000_000 else 3)
    for workers in (1, 4) if quick else (1, 2, 4, 8, 16):
        figures += over_workers(workers, 3 if quick else 7)
    return figures


def by_lines(lines: int, runs: int) -> list[Figure]:
    """One process with a counter and a histogram of 8 bounds for each label set, 12 lines."""
    series = max(1, lines // LINES_OF_A_SET)
    what = f"scrape of {lines:,} lines"
    warm, client = ours(series), prometheus_client_registry(series)
    body(warm)
    rows = [
        figure(what, OURS, "ms", repeated(partial(body, warm), max(runs, 3))),
        figure(what, CLIENT, "ms", repeated(partial(generate_latest, client), runs)),
    ]
    del client
    stock = stock_registry(series)
    rows.append(figure(what, STOCK, "ms", repeated(partial(generate_latest, stock), runs)))
    return rows


def over_workers(workers: int, runs: int) -> list[Figure]:
    """Workers that each have the same 1,000 label sets."""
    what = f"scrape over {workers} workers of {SETS:,} label sets"
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=base) as directory:
        mine = _over_our_workers(directory, workers, runs)
    with tempfile.TemporaryDirectory(dir=base) as directory:
        arguments = (str(workers), str(SETS), str(runs), ",".join(map(str, BOUNDS)), "all")
        done = subprocess.run(
            [sys.executable, "-c", THEIRS, *arguments],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": directory},
            capture_output=True,
            text=True,
            check=True,
        )
    theirs = [float(seconds) * 1e3 for seconds in done.stdout.split()]
    return [figure(what, OURS, "ms", mine), figure(what, CLIENT_OVER_WORKERS, "ms", theirs)]


def _over_our_workers(directory: str, workers: int, runs: int) -> list[float]:
    service = Service([directory], "0" * 16)
    worker = Worker(service.open_store)
    meter = MeterProvider(worker=worker, shutdown_on_exit=False).get_meter("bench")
    counter = meter.create_counter("c")
    histogram = meter.create_histogram("h", explicit_bucket_boundaries_advisory=BOUNDS)

    def record() -> None:
        for number in range(SETS):
            counter.add(1, {"endpoint": f"/{number}"})
            histogram.record(0.07, {"endpoint": f"/{number}"})

    view = MergedView(worker, service.run_dir)
    record()
    children = [fork_recording(record) for _ in range(workers - 1)]
    try:
        scrape_of(view, workers)
        return repeated(lambda: scrape_of(view, workers), runs)
    finally:
        for child in children:
            os.kill(child, 9)
            os.waitpid(child, 0)


def repeated(work: Callable[[], object], runs: int) -> list[float]:
    """Milliseconds of processor time of each run."""
    times = []
    for _ in range(runs):
        started_s = time.process_time()
        work()
        times.append((time.process_time() - started_s) * 1e3)
    return times
