"""Code that comes in the middle of ours: signal handlers, finalisers, exceptions, handlers of the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.programs import Finished, run

PREPARED = """
from tests.faults.worker import *
import gc, logging, os, random, signal, sys, threading, time
worker = pipeline.provider.worker
"""


def faulty(code: str, base: Path) -> Finished:
    return run(PREPARED + code, env={"OTEL_OBS_RUN_DIR": str(base)})


def test_a_signal_handler_records_while_its_own_thread_holds_the_lock(clean_base: Path) -> None:
    code = """
signal.signal(signal.SIGUSR1, lambda *_: (hit(1, kind="new"), hit(2, kind="other"), hit(4)))
def change():
    os.kill(os.getpid(), signal.SIGUSR1)
    hit(8)
hit(1)
worker.exclusively(change)
say([total(), total(kind="new"), total(kind="other")])
"""
    assert faulty(code, clean_base).results == [[16, 1, 2]]


def test_a_signal_handler_records_while_another_thread_holds_the_lock(clean_base: Path) -> None:
    code = """
signal.signal(signal.SIGUSR1, lambda *_: hit(1, kind="new"))
inside = threading.Event()
def change():
    inside.set()
    os.kill(os.getpid(), signal.SIGUSR1)  # the main thread handles it, and waits for this one
    time.sleep(0.05)
thread = threading.Thread(target=lambda: worker.exclusively(change))
thread.start()
inside.wait()
hit(3)
thread.join()
say(total())
"""
    assert faulty(code, clean_base).results == [4]


def test_a_storm_of_signals_that_record(clean_base: Path) -> None:
    code = """
handled = 0
def handle(*_):
    global handled
    handled += 1
    hit(1, kind=str(handled % 300))
    hit(1)
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
sent = 0
while handled < 500:
    hit(1, kind=str(sent % 700))
    sent += 1
signal.setitimer(signal.ITIMER_REAL, 0)
say(total() - sent - 2 * handled)
"""
    assert faulty(code, clean_base).results == [0]


def test_a_finaliser_records_while_the_lock_is_held(clean_base: Path) -> None:
    code = """
class Recording:
    def __init__(self, number):
        self.number, self.itself = number, self
    def __del__(self):
        hit(1, kind=str(self.number))
def change():
    for number in range(400):
        Recording(number)
    gc.collect()
worker.exclusively(change)
say(total())
"""
    # Far more than there could be frames: what is put off must not be done in a recursion.
    assert faulty(code.replace("400", "4000"), clean_base).results == [4000]


def test_an_exception_out_of_a_signal_handler_loses_and_mixes_nothing(clean_base: Path) -> None:
    code = """
class Late(BaseException):
    pass
def handle(*_):
    # The interpreter swallows what is raised in a finaliser: then there is another signal.
    signal.setitimer(signal.ITIMER_REAL, 1)
    raise Late
signal.signal(signal.SIGALRM, handle)
meter = metrics.get_meter("many")
done = {}
interrupted = 0
number = 0
chance = random.Random(3)
while interrupted < 300 or len(done) < 100:
    try:
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0002, 0.003))
        while True:
            name = f"c{number % 97}_{number // 2000}"
            meter.create_counter(name).add(1, {"n": str(number % 5)})
            number += 1
            done[name] = done.get(name, 0) + 1
    except Late:
        interrupted += 1
        number += 1
signal.setitimer(signal.ITIMER_REAL, 0)
from tests.support.samples import parse_samples
samples = parse_samples(otel_obs.get_metrics()[0].decode())
# The interrupted call itself may have counted, and the one line after it may not have been reached.
off = {name: samples.total(f"{name}_total") - count for name, count in done.items()}
say([min(off.values()), sum(off.values()) <= interrupted])
"""
    assert faulty(code, clean_base).results == [[0, True]]


RAISING = """
import functools
class Late(Exception):
    pass
class LateAsTimeout(TimeoutError):
    pass
raised = [0]
def late(kind):
    raised[0] += 1
    raise kind
def plain(number, frame):
    late(Late)
class Limits:
    def method(self, number, frame):
        late(LateAsTimeout)
    def __call__(self, *_):
        late(Late)
def once(number, frame):
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    late(Late)
def partly(more, number, frame):
    late(Late)
def forgetful(number, frame):
    frame = None
    late(LateAsTimeout)
handlers = [plain, Limits().method, Limits(), once, functools.partial(partly, 1), forgetful]
chance = random.Random(7)
meter = metrics.get_meter("many")
"""


def test_an_error_that_a_signal_handler_raises_while_we_record_reaches_the_application(
    clean_base: Path,
) -> None:
    # As celery's SoftTimeLimitExceeded does, which is an Exception like any other.
    code = """
begun = ended = seen = 0
bound = counter.bind({"kind": "bound"})
latency = meter.create_histogram("latency")
level = meter.create_gauge("level")
while seen < 1200:
    signal.signal(signal.SIGALRM, handlers[seen % len(handlers)])
    try:
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0001, 0.001))
        while True:
            begun += 1
            counter.add(1, {"kind": str(begun % 1500)})
            bound.add(1)
            latency.record(2.0, {"kind": str(begun % 500)})
            level.set(begun, {"kind": str(begun % 500)})
            ended += 1
    except (Late, LateAsTimeout):
        seen += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        counter.add(1, {"handled": str(seen)})  # what the application handles is no interruption of ours
        counter.add(1, {"handled": object()})
count, amount = family("latency_count"), family("latency_sum")
say([
    raised[0] == seen,
    all(
        ended <= times <= begun
        for times in (total(kind="bound"), total() - total(kind="bound") - 2 * seen, count)
    ),
    amount == 2 * count,
    pipeline.provider.dropped,
])
"""
    assert faulty(RAISING + code, clean_base).results == [[True, True, True, {}]]


def test_an_error_that_a_signal_handler_raises_in_the_start_of_a_thread_is_not_hidden_by_another(
    clean_base: Path,
) -> None:
    # `Thread.start` fails to clean up then, with a KeyError.
    code = """
from tests.support.waiting import until
name = "_start_joinable_thread" if sys.version_info >= (3, 13) else "_start_new_thread"
really_start = getattr(threading, name)
def interrupted(*args, **kwargs):
    before = set(threading._active)
    started = really_start(*args, **kwargs)
    until(lambda: set(threading._active) - before, "the thread")
    os.kill(os.getpid(), signal.SIGALRM)
    return started
signal.signal(signal.SIGALRM, plain)
setattr(threading, name, interrupted)
try:
    hit(1)
    say("swallowed")
except Late:
    say([raised, pipeline.provider.dropped])
setattr(threading, name, really_start)
hit(2)
say(total())
"""
    assert faulty(RAISING + code, clean_base).results == [[[1], {}], 3]


def test_an_error_that_a_signal_handler_raises_reaches_the_application_also_while_it_opens_its_store(
    clean_base: Path,
) -> None:
    code = """
begun = ended = seen = 0
def work():
    global begun, ended, seen
    signal.signal(signal.SIGALRM, handlers[number % len(handlers)])
    try:
        signal.setitimer(signal.ITIMER_REAL, number * 0.00001)
        while True:
            begun += 1
            hit(1)
            ended += 1
    except (Late, LateAsTimeout):
        seen += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.write(pipe, b"%d %d %d %d\\n" % (begun, ended, raised[0], seen))
reading, pipe = os.pipe()
hit(1)
for number in range(1, 301):
    assert forked(work) == 0
os.close(pipe)
ends = [list(map(int, line.split())) for line in open(reading)]
say([
    len(ends),
    sum(end[2] for end in ends),
    sum(end[3] for end in ends),
    1 + sum(end[1] for end in ends) <= total() <= 1 + sum(end[0] for end in ends),
])
"""
    assert faulty(RAISING + code, clean_base).results == [[300, 300, 300, True]]


def test_a_log_handler_with_a_lock_of_its_own_records_what_is_logged(
    clean_base: Path, tmp_path: Path
) -> None:
    code = """
logged = metrics.get_meter("logs").create_counter("log_records")
class Counting(logging.Handler):
    def emit(self, record):
        logged.add(1, {"n": str(time.monotonic_ns())})
handler = Counting()
logging.getLogger().addHandler(handler)
inside, go = threading.Event(), threading.Event()
def first():
    hit(1)  # opens the store: there is something to be said about it
def second():
    with handler.lock:
        inside.set()
        go.wait()
        time.sleep(0.1)
        logged.add(1, {"n": "second"})
threads = [threading.Thread(target=second, daemon=True), threading.Thread(target=first, daemon=True)]
threads[0].start()
inside.wait()
threads[1].start()
go.set()
for thread in threads:
    thread.join(10)
say([any(thread.is_alive() for thread in threads), family("log_records_total") >= 2])
"""
    missing = tmp_path / "missing"
    assert faulty(code, missing).results == [[False, True]]


@pytest.mark.parametrize("last", ["worker.settle()", "hit(3)", "forked(lambda: hit(3))", "total()"])
def test_nothing_is_left_behind_by_what_comes_after_the_directory_was_removed(
    last: str, clean_base: Path
) -> None:
    # What is registered first comes last. The thread that keeps callbacks fresh may come then, too.
    code = f"""
import atexit
atexit.register(lambda: {last})
"""
    done = run(code + PREPARED + "hit(2); say(total())", env={"OTEL_OBS_RUN_DIR": str(clean_base)})
    assert done.results == [2]


def test_what_is_recorded_while_the_interpreter_ends_is_counted(clean_base: Path) -> None:
    code = """
import atexit
pid = os.fork()
if pid == 0:
    # The first record of this process comes when no more threads can be started.
    atexit.register(hit, 5)
    sys.exit(0)
os.waitpid(pid, 0)
say(total())
"""
    assert faulty(code, clean_base).results == [5]
