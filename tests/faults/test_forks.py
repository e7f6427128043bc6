"""Forks in every manner: a child starts at 0, the parent goes on, and every scrape has them all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.programs import Finished, run

PREPARED = "from tests.faults.worker import *\nimport os, sys, threading, time\n"


def faulty(code: str, base: Path, timeout_s: float = 60.0) -> Finished:
    return run(PREPARED + code, env={"OTEL_OBS_RUN_DIR": str(base)}, timeout_s=timeout_s)


def test_a_fork_while_another_thread_holds_the_lock(clean_base: Path) -> None:
    code = """
worker = pipeline.provider.worker
hit(2)
inside, leave = threading.Event(), threading.Event()
thread = threading.Thread(target=lambda: worker.exclusively(lambda: (inside.set(), leave.wait())))
thread.start()
inside.wait()
child = forked(lambda: (hit(3), hit(1, kind="new")))
leave.set()
thread.join()
hit(5)
say([child, total()])
"""
    assert faulty(code, clean_base).results == [[0, 11]]


def test_a_fork_in_the_middle_of_a_scrape(clean_base: Path) -> None:
    code = """
from otel_obs.cells.service_reader import ServiceReader
hit(2)
inside, leave = threading.Event(), threading.Event()
before = ServiceReader._read_own
ServiceReader._read_own = lambda reading: (inside.set(), leave.wait(), before(reading))[2]
thread = threading.Thread(target=total)
thread.start()
inside.wait()
ServiceReader._read_own = before
child = forked(lambda: (hit(3), total() == 5 or sys.exit(1)))
leave.set()
thread.join()
say([child, total()])
"""
    assert faulty(code, clean_base).results == [[0, 5]]


def test_a_child_has_none_of_the_descriptors_of_a_scrape_of_its_parents(clean_base: Path) -> None:
    code = """
import signal
from otel_obs.cells.shelf import Shelf
hit(2)
reading, writing = os.pipe()
def other():
    hit(1)
    os.write(writing, str(pipeline.provider.worker.id.hex()).encode())
    signal.pause()
pids, names = [], set()
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        other()
    pids.append(pid)
    names.add(os.read(reading, 100).decode() + ".cells")
total()
def held():
    files = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    found = [os.readlink(file) for file in files if os.path.lexists(file)]
    return len([each for each in found if os.path.basename(each) in names])
inside, leave = threading.Event(), threading.Event()
before = Shelf.read_retired
Shelf.read_retired = lambda shelf: (inside.set(), leave.wait(), before(shelf))[2]
thread = threading.Thread(target=total)
thread.start()
inside.wait()
Shelf.read_retired = before
def child():
    inherited = held()
    say([inherited, total(), held()])
say([held(), forked(child)])
leave.set()
thread.join()
say([total(), held()])
for pid in pids:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""
    assert faulty(code, clean_base).results == [[0, 5, 3], [3, 0], [5, 3]]


def test_forks_in_a_thread_pool(clean_base: Path) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
def one(number):
    hit(10)
    child = forked(lambda: hit(number))
    hit(10)
    return child
with ThreadPoolExecutor(6) as pool:
    children = list(pool.map(one, range(24)))
say([sum(children), total()])
"""
    assert faulty(code, clean_base).results == [[0, 24 * 20 + sum(range(24))]]


def test_forks_of_forks(clean_base: Path) -> None:
    code = """
def nested(depth):
    hit(depth)
    if depth < 6:
        assert forked(lambda: nested(depth + 1)) == 0
    hit(1)
child = forked(lambda: nested(1))
say([child, total()])
"""
    assert faulty(code, clean_base).results == [[0, sum(range(1, 7)) + 6]]


def test_a_bound_handle_and_a_thread_of_the_parent_over_a_fork(clean_base: Path) -> None:
    code = """
bound = counter.bind({"kind": "bound"})
bound.add(1)
stop = threading.Event()
added = [0, 0]
def busy(place):
    while not stop.is_set():
        bound.add(1)
        added[place] += 1
threads = [threading.Thread(target=busy, args=(place,)) for place in range(2)]
for thread in threads: thread.start()
children = sum(forked(lambda: [bound.add(1) for _ in range(100)]) for _ in range(20))
stop.set()
for thread in threads: thread.join()
say([children, total(kind="bound") - 1 - sum(added)])
"""
    assert faulty(code, clean_base).results == [[0, 2000]]


def test_a_child_has_none_of_its_parents_descriptors(clean_base: Path) -> None:
    code = """
assert forked(lambda: hit(1)) == 0
assert forked(lambda: hit(1)) == 0
hit(1)
total()
def held():
    files = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    found = [os.readlink(file) for file in files if os.path.lexists(file)]
    return sorted(os.path.basename(each) for each in found if os.environ["OTEL_OBS_RUN_DIR"] in each)
def child():
    say(held())
forked(child)
"""
    (held,) = faulty(code, clean_base).results
    # The directory and its members file stay open on purpose: a daemon has nothing else.
    assert [name for name in held if name.endswith(".cells") or name == "retired"] == []


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str, clean_base: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        PREPARED
        + f"""
import multiprocessing
def work(number):
    hit(number)
    return os.getpid()
if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    hit(3)
    with context.Pool(3) as pool:
        pids = set(pool.map(work, range(40), chunksize=1))
        pool.close()
        pool.join()
    process = context.Process(target=work, args=(100,))
    process.start()
    process.join()
    say([process.exitcode, os.getpid() in pids, total()])
"""
    )
    code = f"import os, sys; os.execv(sys.executable, [sys.executable, {str(program)!r}])"
    done = run(code, env={"OTEL_OBS_RUN_DIR": str(clean_base)})
    assert done.results == [[0, False, 3 + sum(range(40)) + 100]]


def test_a_pool_of_processes_that_are_killed(clean_base: Path) -> None:
    code = """
import signal
def die():
    hit(7)
    os.kill(os.getpid(), signal.SIGKILL)
exits = {forked(die) for _ in range(30)}
say([sorted(exits), total()])
"""
    assert faulty(code, clean_base).results == [[[-9], 210]]


def test_a_worker_that_executes_another_program_leaves_its_counts(clean_base: Path) -> None:
    code = """
def execute():
    hit(5)
    os.execv("/bin/true", ["true"])
say([forked(execute), total()])
"""
    assert faulty(code, clean_base).results == [[0, 5]]


def test_a_program_that_a_worker_executes_is_a_service_of_its_own(clean_base: Path) -> None:
    inner = "from tests.faults.worker import *; hit(100); say(total())"
    code = f"""
hit(1)
def execute():
    hit(5)
    os.execv(sys.executable, [sys.executable, "-c", {inner!r}])
child = forked(execute)
say([child, total()])
os.execv(sys.executable, [sys.executable, "-c", {inner!r}])
"""
    # Also the service's first process, whose id and start stay the same.
    assert faulty(code, clean_base).results == [100, [0, 6], 100]


def test_a_service_that_a_worker_starts_is_a_service_of_its_own(clean_base: Path) -> None:
    inner = "from tests.faults.worker import *; hit(100); say(total())"
    code = f"""
import subprocess
hit(1)
subprocess.run([sys.executable, "-c", {inner!r}], check=True)
say(total())
"""
    assert faulty(code, clean_base).results == [100, 1]


def test_a_child_that_outlives_a_killed_worker_does_not_keep_it_alive(clean_base: Path) -> None:
    code = """
import signal
gauge = metrics.get_meter("faults").create_gauge("level")
reading, writing = os.pipe()
def worker():
    hit(5)
    gauge.set(1)
    pid = os.fork()
    if pid == 0:  # goes on holding what it has inherited, and records nothing
        os.write(writing, b"%d\\n" % os.getpid())
        signal.pause()
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
code = forked(worker)
child = int(os.read(reading, 100))
before = [family("level"), total(), family("otel_obs_workers")]
os.kill(child, signal.SIGKILL)
while os.path.exists(f"/proc/{child}/fd/1"):  # it is a member of the service until it is gone
    time.sleep(0.01)
say([code, before, total()])
"""
    # The worker's gauge is gone although its child lives; it is counted no more among the workers.
    assert faulty(code, clean_base).results == [[-9, [0, 5, 1], 5]]


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
def test_many_scrapes_and_forks_open_no_more_files(clean_base: Path) -> None:
    code = """
def open_files():
    return len(os.listdir("/proc/self/fd"))
for _ in range(3):
    forked(lambda: hit(1)); total()
before = open_files()
for _ in range(40):
    forked(lambda: (hit(1), total())); total()
say([open_files() - before, total()])
"""
    assert faulty(code, clean_base).results == [[0, 43]]


UNHOOKED = """
from tests.support.c_fork import c_fork, without_threads
without_threads(pipeline)
def unhooked(work):
    pid = c_fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid
def wait(*pids):
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
"""


def test_a_fork_without_hooks_is_noticed_by_a_new_series(clean_base: Path) -> None:
    code = """
hit(10, kind="old")
child = unhooked(lambda: hit(5, kind="new") or hit(7, kind="old"))
hit(20, kind="old")
say([wait(child), total(kind="old"), total(kind="new"), family("otel_obs_workers")])
"""
    assert faulty(UNHOOKED + code, clean_base).results == [[[0], 37, 5, 1]]


def test_a_fork_without_hooks_is_noticed_at_the_next_check(clean_base: Path) -> None:
    # Both write as fast as they can: on shared cells they would lose a fifth.
    code = """
from otel_obs.host import forks
bound = counter.bind({"kind": "bound"})
bound.add(1)
def child():
    forks.check()
    for _ in range(200_000):
        bound.add(1)
pids = [unhooked(child) for _ in range(3)]
for _ in range(200_000):
    bound.add(1)
say([wait(*pids), total(kind="bound")])
"""
    assert faulty(UNHOOKED + code, clean_base).results == [[[0, 0, 0], 800_001]]


def test_a_fork_without_hooks_is_noticed_by_a_scrape(clean_base: Path) -> None:
    code = """
hit(3)
child = unhooked(lambda: say([total(), family("otel_obs_workers")]))
wait(child)
hit(1)
say(total())
"""
    # The child is a worker since it recorded the first of its scrapes.
    assert faulty(UNHOOKED + code, clean_base).results == [[3, 2], 4]


def test_a_fork_without_hooks_of_a_fork_without_hooks(clean_base: Path) -> None:
    code = """
def nested(depth):
    hit(depth, kind=str(depth))
    if depth < 5:
        assert wait(unhooked(lambda: nested(depth + 1))) == [0]
    hit(1, kind=str(depth))
hit(1, kind="0")
say([wait(unhooked(lambda: nested(1))), total()])
"""
    assert faulty(UNHOOKED + code, clean_base).results == [[[0], 1 + sum(range(1, 6)) + 5]]


def test_many_threads_of_a_child_without_hooks_start_over_once(clean_base: Path) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
from otel_obs.host import forks
hit(1)
def child():
    def work(number):
        forks.check()
        hit(50, kind=str(number % 3))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    total() == 2001 or sys.exit(3)
say([wait(unhooked(child)), total()])
"""
    assert faulty(UNHOOKED + code, clean_base).results == [[[0], 2001]]
