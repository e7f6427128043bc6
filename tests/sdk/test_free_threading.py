"""Threads, signal handlers and finalisers record at once, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from _thread import RLock
from collections.abc import Iterator
from typing import Any

import pytest

from otel_obs.cells.view import MergedView
from otel_obs.sdk import MeterProvider

CALLS = 20_000
THREADS = 8


@pytest.fixture
def switching_often() -> Iterator[None]:
    """Let the interpreter switch threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching_often")
def test_threads_on_one_series_lose_nothing() -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    meter = provider.get_meter("m")
    counter, histogram = meter.create_counter("c"), meter.create_histogram("h")
    bound: Any = counter.bind({"k": "bound"})  # type: ignore[attr-defined]

    def record() -> None:
        for number in range(CALLS):
            counter.add(1, {"k": "v"})
            bound.add(1)
            histogram.record(number % 7, {"k": "v"})

    threads = [threading.Thread(target=record) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = {
        column.table.stream.name: column.values for column in MergedView(provider.worker).snapshot().columns
    }
    assert values["c"] == [THREADS * CALLS] * 2
    (histogram_row,) = values["h"]
    assert sum(histogram_row[:-1]) == THREADS * CALLS


@pytest.mark.usefixtures("switching_often")
def test_a_signal_handler_that_records_loses_nothing() -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    counter = provider.get_meter("m").create_counter("c")
    handled = 0

    def handler(number: int, frame: object) -> None:
        nonlocal handled
        handled += 1
        counter.add(1, {"k": "v"})
        counter.add(1, {"new": str(handled % 500)})

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        for number in range(CALLS):
            counter.add(1, {"k": "v"})
            counter.add(1, {"other": str(number % 1000)})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handled
    store = provider.worker.store()
    assert sum(store.cells[: store.used_cells]) == 2 * CALLS + 2 * handled


def without_gil(code: str) -> subprocess.CompletedProcess[str]:
    """Run a program in Python alone, as where there is neither a GIL nor a compiled module."""
    env = {**os.environ, "OTEL_OBS_COMPILED": "off"}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)


def test_without_the_gil_the_same_code_runs_under_a_lock() -> None:
    code = """
import sys
sys._is_gil_enabled = lambda: False
from otel_obs.sdk import Counter, MeterProvider
from otel_obs.sdk.instruments import BoundHistogram
assert Counter.add.__wrapped__ and BoundHistogram.record.__wrapped__
provider = MeterProvider(shutdown_on_exit=False)
meter = provider.get_meter("m")
counter = meter.create_counter("c")
bound = counter.bind({"k": "v"})
for _ in range(3):
    counter.add(1, {"k": "v"})
    bound.add(1)
store = provider.worker.store()
print(store.cells[: store.used_cells].tolist())
"""
    done = without_gil(code)
    assert done.stdout == "[6.0]\n"


@pytest.mark.skipif(not hasattr(RLock(), "_recursion_count"), reason="every Python of this version has a GIL")
@pytest.mark.parametrize("record", ["counter.add('one')", "counter.bind({}).add('one')"])
def test_without_the_gil_a_line_is_logged_without_the_lock(record: str) -> None:
    code = f"""
import logging, sys, threading
sys._is_gil_enabled = lambda: False
from otel_obs.sdk import MeterProvider
counter = MeterProvider(shutdown_on_exit=False).get_meter("m").create_counter("c")
counter.add(1)
waits = threading.Event()

class Handler(logging.Handler):
    def handle(self, record):
        if threading.current_thread() is recording:
            waits.set()
        super().handle(record)

    def emit(self, record):
        counter.add(1)

handler = Handler()
logging.getLogger("otel_obs").addHandler(handler)
recording = threading.Thread(target=lambda: {record}, daemon=True)
handler.acquire()
recording.start()
assert waits.wait(60)
counting = threading.Thread(target=counter.add, args=(1,), daemon=True)  # as a handler does that counts lines
counting.start()
counting.join(60)
print(counting.is_alive())
handler.release()
recording.join(60)
print(recording.is_alive())
"""
    done = without_gil(code)
    assert done.stdout == "False\nFalse\n"


def test_without_the_gil_every_method_takes_what_it_takes_with_it() -> None:
    code = """
import inspect, sys
sys._is_gil_enabled = lambda: False
import otel_obs
from otel_obs import prometheus
from otel_obs.sdk import instruments
otel_obs.configure()
kinds = [kind for kind in vars(instruments).values() if inspect.isclass(kind)]
kinds += [type(prometheus.Counter("c", "c")), type(prometheus.Gauge("g", "g"))]
kinds += [type(prometheus.Summary("s", "s")), type(prometheus.Histogram("h", "h"))]
found = 0
for kind in kinds:
    for name in ("add", "inc", "dec", "set", "record", "observe"):
        method = inspect.getattr_static(kind, name, None)
        python = getattr(method, "__wrapped__", None)
        if python is None:
            continue
        found += 1
        ours = inspect.signature(method, follow_wrapped=False).parameters.values()
        theirs = inspect.signature(python).parameters.values()
        if [(each.name, each.default) for each in ours] != [(each.name, each.default) for each in theirs]:
            print(kind.__name__, name, *ours, *theirs)
print(found > 15)
"""
    done = without_gil(code)
    assert done.stdout == "True\n"
