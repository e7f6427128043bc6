"""A scrape over four workers of 1,000 label sets each, beside `prometheus_client`'s multiprocess mode."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from otel_obs.cells.membership import Service
from otel_obs.cells.view import MergedView
from otel_obs.cells.worker import Worker
from otel_obs.exposition import render
from otel_obs.sdk import MeterProvider

WORKERS = 4
SETS = 1_000
BOUNDS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0)
ROUNDS = 15

THEIRS = """
import os, statistics, sys, time
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
workers, sets, rounds = map(int, sys.argv[1:4])
counter = Counter("c", "c", ["endpoint"])
histogram = Histogram("h", "h", ["endpoint"], buckets=tuple(map(float, sys.argv[4].split(","))))
for _ in range(workers):
    if os.fork() == 0:
        for number in range(sets):
            counter.labels(f"/{number}").inc()
            histogram.labels(f"/{number}").observe(0.07)
        os._exit(0)
    os.wait()
registry = CollectorRegistry()
MultiProcessCollector(registry)
taken, clock = [], time.process_time if sys.argv[5:] else time.perf_counter
for _ in range(rounds):
    started = clock()
    body = generate_latest(registry)
    taken.append(clock() - started)
assert body.count(b"\\n") > 12 * sets, len(body)
print(*taken) if sys.argv[5:] else print(statistics.median(taken))
"""


def run() -> list[tuple[str, float, float]]:
    """Measure; each row is what, the ratio of ours to theirs, and the goal."""
    theirs_s = _theirs()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as base:
        ours_s, one_s = _ours(base)
    return [
        ("4 workers x 1,000 label sets / prometheus_client multiprocess", ours_s / theirs_s, 0.03),
        ("4 workers x 1,000 label sets, ms", ours_s * 1e3, 10.0),
        ("one more worker, of a scrape over four", one_s / ours_s, 0.6),
    ]


def _theirs() -> float:
    with tempfile.TemporaryDirectory() as directory:
        arguments = [str(WORKERS), str(SETS), str(ROUNDS), ",".join(map(str, BOUNDS))]
        done = subprocess.run(
            [sys.executable, "-c", THEIRS, *arguments],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": directory},
            capture_output=True,
            text=True,
            check=True,
        )
    return float(done.stdout)


def _ours(base: str) -> tuple[float, float]:
    """Seconds of a scrape over the workers, and what another worker adds."""
    service = Service([base], "0" * 16)
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
    children = [fork_recording(record) for _ in range(WORKERS - 1)]
    four_s = _median(lambda: scrape_of(view, WORKERS))
    children.append(fork_recording(record))
    five_s = _median(lambda: scrape_of(view, WORKERS + 1))
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)
    return four_s, five_s - four_s


def scrape_of(view: MergedView, workers: int) -> None:
    """A whole page, which has to have what all workers recorded."""
    body = b"".join(render(view.snapshot()))
    expected = f'c_total{{endpoint="/7"}} {workers}.0\n'.encode()
    if expected not in body:
        raise AssertionError(f"{expected!r} is not in the exposition")


def fork_recording(record: Callable[[], None]) -> int:
    """A worker that has recorded and goes on living; its process id."""
    ready, done = os.pipe()
    child = os.fork()
    if child == 0:
        record()
        os.write(done, b"x")
        time.sleep(600)
        os._exit(0)
    os.close(done)
    os.read(ready, 1)
    os.close(ready)
    return child


def _median(call: Callable[[], None]) -> float:
    taken = []
    for _ in range(ROUNDS):
        started_s = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started_s)
    return statistics.median(taken)
