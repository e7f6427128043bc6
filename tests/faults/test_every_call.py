"""A signal handler that raises after any call of ours leaves no file, and no lock, that nobody can close.

Python calls handlers between bytecodes, so also between the call that opens a file and the storing of its
number.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.programs import run

PREPARED = """
import atexit, gc, json, os, socket
from tests.faults.interrupt import interrupted, kept
base = os.environ["OTEL_OBS_RUN_DIR"]
def is_open():
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    return sorted(os.readlink(link) for link in links if os.path.lexists(link))
def of_ours():
    return [os.path.splitext(path)[1] or os.path.basename(path) for path in is_open() if base in path]
wrong = []
step = 0
EVERY = 13  # of many places, so that it does not take minutes
"""


def each_call(code: str, base: Path) -> list[Any]:
    return run(PREPARED + code, env={"OTEL_OBS_RUN_DIR": str(base)}, timeout_s=400).results


def test_while_a_process_joins_its_service(clean_base: Path) -> None:
    code = """
from otel_obs.host.descriptors import close_lost
from otel_obs.rundir.directory import open_run_dir
from otel_obs.rundir.tidying import leave
before = is_open()
while True:
    step += 1
    nonce = f"{step:016x}"
    with interrupted(step) as interruption:
        joined = open_run_dir([base], nonce)
    if interruption.steps < step:
        break
    again = open_run_dir([base], nonce)
    leave([again])
    again.close()
    if os.path.exists(again.path):
        wrong.append(["left behind", interruption.where])
    kept.clear()
    gc.collect()
    close_lost()
    if len(is_open()) > len(before):
        wrong.append(["open", interruption.where])
        before = is_open()
leave([joined])
print(json.dumps([wrong, step > 60]))
"""
    assert each_call(code, clean_base) == [[[], True]]


def test_while_a_worker_records_for_the_first_time(clean_base: Path) -> None:
    code = """
from tests.faults.worker import *
from otel_obs.host.descriptors import close_lost
within = ["cells/" + name for name in ("membership", "placing", "opening", "mapped", "sharing", "worker")]
def first():
    with interrupted(step, "rundir/", "host/descriptors", *within) as interruption:
        hit(1, kind="first")
    hit(2, kind="first")
    kept.clear()
    gc.collect()
    close_lost()
    present = of_ours()
    atexit._run_exitfuncs()
    close_lost()
    return [present, of_ours(), interruption.steps >= step, interruption.where]
def told():
    reading, writing = os.pipe()
    code = forked(lambda: os.write(writing, json.dumps(first()).encode()))
    os.close(writing)
    with open(reading) as file:
        return json.load(file) if code == 0 else [code]
hit(1)
usual, left, *_ = told()
step = 1
counted = 3
while (result := told())[2]:
    if result[:2] != [usual, left]:
        wrong.append(result)
    now = total(kind="first")
    if now - counted not in (2, 3):
        wrong.append([now - counted, result])
    counted = now
    step += EVERY
say([wrong, usual, left, step > 150])
"""
    wrong, usual, left, is_long = each_call(code, clean_base)[0]
    assert wrong == []
    assert len(usual) == 6
    assert "members" not in left
    assert is_long


def test_while_a_page_is_made_of_the_files_of_others(clean_base: Path) -> None:
    code = """
from tests.faults.worker import *
from otel_obs.host.descriptors import close_lost
within = ["cells/" + name for name in ("foreign_file", "shelf", "source", "retire", "view", "opening")]
def dead():
    assert forked(lambda: hit(1)) == 0
hit(1)
expected = 1
total()
usual = of_ours()
while True:
    step += EVERY
    dead()
    expected += 1
    with interrupted(step, "host/descriptors", *within) as interruption:
        total()
    if not total() == total() == expected:
        wrong.append([interruption.where, total(), expected])
    kept.clear()
    gc.collect()
    close_lost()
    if len(of_ours()) != len(usual) + 1:
        wrong.append([interruption.where, of_ours()])
    if interruption.steps < step:
        break
say([wrong, usual, step > 150])
"""
    wrong, _, is_long = each_call(code, clean_base)[0]
    assert wrong == []
    assert is_long


def test_the_sockets_of_a_server_stay_open(clean_base: Path) -> None:
    code = """
from otel_obs.host.proc import listening_sockets
from otel_obs.serving.address import listening
server = socket.create_server(("127.0.0.1", 0))
with interrupted(0) as uninterrupted:
    before = [sorted(listening_sockets()), listening()]
while step < uninterrupted.steps:
    step += 1
    with interrupted(step) as interruption:
        listening_sockets()
        listening()
    if [sorted(listening_sockets()), listening()] != before:
        wrong.append(interruption.where)
        server = socket.create_server(("127.0.0.1", 0))
        before = [sorted(listening_sockets()), listening()]
print(json.dumps([wrong, len(before[1]), step > 20]))
"""
    assert each_call(code, clean_base) == [[[], 1, True]]


def test_while_a_worker_moves_to_another_file(clean_base: Path) -> None:
    code = """
from tests.faults.worker import *
import otel_obs.cells.moving as moving
moving._SETTLED_S = 0.0
within = "cells/moving", "cells/opening", "cells/placing", "cells/worker", "host/descriptors"
run_dir = pipeline.provider.worker._home._run_dir
hit(1)
def work():
    worker = pipeline.provider.worker
    hit(5, kind="moved")
    store = worker.store()
    with interrupted(step, *within) as it:
        worker.exclusively(lambda: worker._move(store))
    hit(2, kind="moved")
    os.write(pipe, json.dumps([total(kind="moved"), it.steps >= step, it.where]).encode())
    hit(3, kind="moved")
counted = 0
more = True
while more:
    step += 3
    reading, pipe = os.pipe()
    assert forked(work) == 0
    os.close(pipe)
    with open(reading) as file:
        now, more, where = json.load(file)
    found = [now - counted, total(kind="moved") - counted, total(kind="moved") - counted]
    if found != [7, 10, 10]:
        wrong.append([*found, where])
    counted = total(kind="moved")
say([wrong, step > 40])
"""
    assert each_call(code, clean_base) == [[[], True]]


def test_while_metrics_of_prometheus_client_begin_to_record_to_cells(clean_base: Path) -> None:
    code = """
from tests.faults.worker import *
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from prometheus_client import generate_latest
from otel_obs.prometheus import share
from tests.support.samples import parse_samples
NAMES = ("plain_total", "labelled_total", "waits_count", "waits_sum", "took_count", "took_sum", "level")
def work():
    registry = CollectorRegistry()
    counter = Counter("plain", "h", registry=registry)
    labelled = Counter("labelled", "h", ["a"], registry=registry)
    waits = Histogram("waits", "h", ["a"], registry=registry)
    took = Summary("took", "h", registry=registry)
    level = Gauge("level", "h", ["a"], registry=registry, multiprocess_mode="sum")
    facts = Info("facts", "h", registry=registry)
    mood = Enum("mood", "h", states=["good", "bad"], registry=registry)
    def record():
        counter.inc(3)
        for label in "xy":
            labelled.labels(label).inc(5)
            waits.labels(label).observe(0.5)
            level.labels(label).inc(7)
        took.observe(0.25)
    record()
    facts.info({"a": "b"})
    mood.state("bad")
    with interrupted(step, *within) as it:
        share(registry, "moved")
    record()
    share(registry, "moved")
    record()
    samples = parse_samples(generate_latest(registry).decode())
    stated = [samples.total("facts_info", a="b"), samples.total("mood", mood="bad")]
    found = [samples.total(name) for name in NAMES]
    os.write(pipe, json.dumps([found, stated, it.steps >= step, it.where]).encode())
within = ["prometheus/"]
hit(1)
more = True
number = 0
while more:
    step += EVERY
    number += 1
    reading, pipe = os.pipe()
    code = forked(work)
    os.close(pipe)
    with open(reading) as file:
        text = file.read()
    if not text:
        wrong.append([step, code])
        break
    found, stated, more, where = json.loads(text)
    lasting = [3 * number * each for each in (3, 10, 2, 1.0, 1, 0.25)]
    if found != [*lasting, 42.0] or stated != [1.0, 1.0]:
        wrong.append([where, found, lasting, stated])
        break
say([wrong, step > 150])
"""
    assert each_call(code, clean_base) == [[[], True]]


def test_while_a_metric_of_prometheus_client_comes_back_to_its_registry(clean_base: Path) -> None:
    code = """
from tests.faults.worker import *
from prometheus_client import CollectorRegistry, Counter, generate_latest
from otel_obs.prometheus import share
from tests.support.samples import parse_samples
def work():
    registry = share(CollectorRegistry(), "back")
    first = Counter("orders", "h", ["a"], registry=registry)
    first.labels("x").inc(1)
    registry.unregister(first)
    other = Counter("orders", "h", ["a"], registry=registry)
    other.labels("x").inc(10)
    first.labels("x").inc(100)
    first.labels("y").inc(100)
    registry.unregister(other)
    with interrupted(step, "prometheus/") as it:
        registry.register(first)
    if first not in registry._collector_to_names:
        registry.register(first)
    first.labels("x").inc(1000)
    found = parse_samples(generate_latest(registry).decode())
    os.write(pipe, json.dumps([found.total("orders_total"), it.steps >= step, it.where]).encode())
hit(1)
before = 0
more = True
while more:
    reading, pipe = os.pipe()
    assert forked(work) == 0
    os.close(pipe)
    with open(reading) as file:
        found, more, where = json.load(file)
    if not step:
        usual, more = found, True  # without an interruption
    elif found - before != usual:
        wrong.append([where, found - before, usual])
    before = found
    step += 3
say([wrong, usual >= 1200, step > 50])
"""
    assert each_call(code, clean_base) == [[[], True, True]]
