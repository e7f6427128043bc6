"""Clocks that are set, and process ids that are used again."""

from __future__ import annotations

from pathlib import Path

from tests.support.programs import run

# The clock of the wall, as this process and what it forks see it, from before anything of ours is imported.
PREPARED = """
import os, signal, sys, time
shift_s = 0.0
real_time, real_time_ns = time.time, time.time_ns
time.time = lambda: real_time() + shift_s
time.time_ns = lambda: real_time_ns() + int(shift_s * 1e9)
from tests.faults.worker import *
"""


def faulty(code: str, base: Path) -> list[object]:
    return run(PREPARED + code, env={"OTEL_OBS_RUN_DIR": str(base)}).results


def test_totals_with_a_clock_that_jumps(clean_base: Path) -> None:
    code = """
hit(1)
results = []
expected = 1
for shift_s in (0.0, -3600.0, 86400.0, -86400.0 * 365, 0.0, 7200.0):
    for number in (1, 2):
        forked(lambda: hit(number))
        expected += number
    results.append([total() - expected, total() - expected])
say(results)
"""
    assert faulty(code, clean_base) == [[[0, 0]] * 6]


def test_a_slow_scrape_counts_nobody_twice_though_the_clock_jumps(clean_base: Path) -> None:
    # It has read the dead worker's file; before it reads the retired store, others fold, and fold again
    # hours later by the clock of the wall.
    code = """
hit(1)
forked(lambda: hit(5))
from otel_obs.cells.shelf import Shelf
read = Shelf.read_retired
def slowly(shelf):
    def other():
        global shift_s
        total()
        shift_s = 7200.0
        forked(lambda: hit(7))
        total()
    Shelf.read_retired = read
    assert forked(other) == 0
    return read(shelf)
Shelf.read_retired = slowly
seen = total()
say([seen in (6, 13), Shelf.read_retired is read, total()])
"""
    assert faulty(code, clean_base) == [[True, True, 13]]


def test_the_gauge_that_was_set_last_wins_though_the_clock_was_set_back(clean_base: Path) -> None:
    code = """
gauge = metrics.get_meter("faults").create_gauge("level")
observed = metrics.get_meter("faults").create_observable_gauge
gauge.set(1)
reading, writing = os.pipe()
pid = os.fork()
if pid == 0:
    shift_s = -3600.0
    gauge.set(2)
    os.write(writing, b"x")
    signal.pause()
os.read(reading, 1)
first = family("level")
shift_s = -7200.0
gauge.set(3)
second = family("level")
bound = gauge.bind({})
bound.set(4)
shift_s = -9000.0
bound.set(5)
third = family("level")
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
say([first, second, third])
"""
    assert faulty(code, clean_base) == [[2, 3, 5]]


def test_a_process_id_that_is_used_again(clean_base: Path) -> None:
    # Whole lives of services under one process id: a program that executes another, again and again.
    code = """
rounds = int(os.environ.get("ROUNDS", "0"))
hit(rounds + 1)
forked(lambda: hit(10))
say([total(), rounds])
if rounds < 3:
    os.environ["ROUNDS"] = str(rounds + 1)
    os.execv(sys.executable, [*sys.orig_argv, "again" * rounds])
"""
    assert faulty(code, clean_base) == [[11, 0], [12, 1], [13, 2], [14, 3]]


def test_workers_with_one_process_id_after_another(clean_base: Path) -> None:
    # The kernel is told which id to give next where that is allowed; the ids are not what counts in any case.
    code = """
def again(pid):
    try:
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(pid - 1))
    except OSError:
        pass
hit(1)
reading, writing = os.pipe()
wanted, same = 0, 0
for number in range(20):
    if wanted:
        again(wanted)
    pid = os.fork()
    if pid == 0:
        hit(2)
        os._exit(0)
    os.waitpid(pid, 0)
    same += pid == wanted
    wanted = wanted or pid
    if number % 5 == 0:
        total()
say([total()])
"""
    assert faulty(code, clean_base) == [[41]]


def test_the_refreshing_of_callbacks_goes_on_though_the_clock_was_set_back(clean_base: Path) -> None:
    code = """
from opentelemetry.metrics import Observation
calls = 0
def call(options):
    global calls
    calls += 1
    return [Observation(calls)]
metrics.get_meter("faults").create_observable_gauge("calls", [call])
family("calls")
shift_s = -86400.0
before = calls
pipeline.provider.refresh_observables(older_than_s=0.0)
family("calls")
say([calls > before, family("calls") == calls])
"""
    assert faulty(code, clean_base) == [[True, True]]
