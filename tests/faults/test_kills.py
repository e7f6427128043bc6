"""Workers that are killed, again and again: nothing is lost, nothing goes down, and nothing piles up."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

import psutil

from tests.faults.ledger import GUNICORN, WRAPPER, WSGI, assert_exact, hurt, read_ledger
from tests.support.processes import Service
from tests.support.programs import run
from tests.support.samples import Samples
from tests.support.waiting import until

WORKERS = 4
PERIOD_S = 0.2
SLOW_S = 30.0
"""How much longer a slow machine may take."""

NEVER_FALL = (
    "hits_total",
    "took_seconds_count",
    "took_seconds_sum",
    "took_seconds_bucket",
    "http_requests_total",
)


class Load:
    """Threads that ask and ask, whoever answers; what was acknowledged is counted."""

    def __init__(self, ask: Callable[[], object], threads: int = 1) -> None:
        self._ask = ask
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        self.done = 0
        self.error: BaseException | None = None

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._ask()
                self.done += 1
            except (OSError, HTTPException):
                continue  # the worker that had it was killed
            except BaseException as error:
                self.error = error
                return

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self.error is not None:
            raise self.error


class Watch:
    """Compares every scrape with the one before."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._before: Samples | None = None

    def look(self) -> None:
        """Scrape; no total may be below what it was."""
        samples = self._service.scrape()
        for (name, labels), value in (self._before or {}).items():
            if name in NEVER_FALL:
                assert samples.get((name, labels), 0) >= value, f"{name}{dict(labels)} fell from {value!r}"
        self._before = samples


def kill_for(
    service: Service, seconds: float, random_worker: random.Random, is_seen: Callable[[int], bool]
) -> int:
    """Kill a worker every 200 ms, so long and until it *is_seen* that so many were killed; how many were."""
    killed, end_s = 0, time.monotonic() + seconds
    next_s = time.monotonic()
    while time.monotonic() < end_s or (not is_seen(killed) and time.monotonic() < end_s + SLOW_S):
        workers = service.workers()
        if workers:
            try:
                os.kill(random_worker.choice(workers), signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass
        next_s += PERIOD_S
        time.sleep(max(0.0, next_s - time.monotonic()))
    return killed


def test_a_worker_is_killed_every_200_ms_under_load(clean_base: Path, tmp_path: Path, is_long: bool) -> None:
    ledger = tmp_path / "ledger"
    command = (WRAPPER, *GUNICORN, "-w", str(WORKERS), "--preload", WSGI)
    with hurt(*command, base=clean_base, ledger=ledger, log=tmp_path / "log") as service:
        service.wait_for_workers(WORKERS)
        watch = Watch(service)

        def hit() -> None:
            assert service.get("/hit").status == 200

        with Load(hit, 3) as load, Load(watch.look) as scrapes:
            enough = 100 if is_long else 15
            killed = kill_for(
                service,
                30 if is_long else 6,
                random.Random(4),
                lambda killed: killed >= enough and scrapes.done > 10 and load.done > killed,
            )
        service.wait_for_workers(WORKERS)
        until(lambda: assert_exact(service.scrape(), ledger) >= load.done, "a whole account")
        watch.look()
        (directory,) = next(iter(clean_base.iterdir())).iterdir()
        names = sorted(path.name for path in directory.iterdir())
        used = sum(path.stat().st_blocks * 512 for path in directory.iterdir())
        lives = len(read_ledger(ledger))
    assert killed >= enough
    assert scrapes.done > 10
    assert load.done > killed
    # Each life has a series of its own, which is what grows; the files do not.
    assert len([name for name in names if name.endswith(".cells")]) <= WORKERS + 1, names
    assert len(names) <= WORKERS + 8, names
    assert used < (WORKERS + 2) * 400_000 + 500 * lives


BORN_AND_DEAD = """
import sys, time
from tests.faults.worker import *
lives = int(sys.argv[1])
def life(number):
    hit(3, kind=str(number % 10))
    durations.record(0.25, {"kind": str(number % 10)})
durations = metrics.get_meter("faults").create_histogram("took")
def size():
    (directory,) = [path for path, _, files in os.walk(os.environ["OTEL_OBS_RUN_DIR"]) if "members" in files]
    return sum(os.stat(os.path.join(directory, name)).st_blocks * 512 for name in os.listdir(directory))
def scrape_s():
    times = []
    for _ in range(15):
        start = time.perf_counter()
        otel_obs.get_metrics()
        times.append(time.perf_counter() - start)
    return min(times)
hit(1)
for number in range(10):
    forked(lambda: life(number))
total()
first = scrape_s(), size()
worst = 0
for number in range(lives):
    forked(lambda: life(number))
    if number % 50 == 0:
        total()
        worst = max(worst, size())
start = time.perf_counter()
total()
after = scrape_s(), size()
say([total(), family("took_count"), after[0] / first[0], worst / first[1], after[1] / first[1]])
"""


def test_workers_that_are_born_and_die_leave_no_trace_but_their_counts(
    clean_base: Path, is_long: bool
) -> None:
    lives = 1000 if is_long else 300
    done = run(BORN_AND_DEAD, str(lives), env={"OTEL_OBS_RUN_DIR": str(clean_base)}, timeout_s=240)
    ((total, observed, slower, _, larger),) = done.results
    assert total == 1 + 3 * (lives + 10)
    assert observed == lives + 10
    assert slower < 3
    assert larger < 3


def test_a_scrape_while_workers_are_killed_is_never_short(clean_base: Path) -> None:
    code = """
import random, signal, threading
from tests.faults.worker import *
def life():
    hit(5)
    bound = counter.bind({})
    while True:
        bound.add(0.1)
pids, lock, stop = [], threading.Lock(), threading.Event()
def churn():
    chance = random.Random(1)
    while not stop.is_set():
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)
            life()
        pids.append(pid)
        if len(pids) > 4:
            victim = pids.pop(chance.randrange(len(pids)))
            os.kill(victim, signal.SIGKILL)
            os.waitpid(victim, 0)
thread = threading.Thread(target=churn)
hit(1)
thread.start()
before, fell = 0, 0
for _ in range(150):
    now = total()
    fell += now < before
    before = now
stop.set()
thread.join()
for pid in pids:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
end = [total() for _ in range(4)]
say([fell, len(set(end)), end[0] >= before])
"""
    done = run(code, env={"OTEL_OBS_RUN_DIR": str(clean_base)}, timeout_s=240)
    assert done.results == [[0, 1, True]]


def test_a_killed_worker_ends_its_gauges_at_once(base: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with hurt(
        *(WRAPPER, *GUNICORN, "-w", "1", WSGI), base=base, ledger=ledger, log=tmp_path / "log"
    ) as service:
        service.get("/level")
        assert service.scrape().total("level") == 1
        (worker,) = service.wait_for_workers(1)
        service.kill(worker)
        until(lambda: service.workers() and not psutil.pid_exists(worker), "another worker")
        assert service.scrape().labels("level") == []
