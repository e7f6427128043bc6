"""Functions that give gauges of the client their values: each is asked by itself."""

from __future__ import annotations

from tests.support.programs import run

PREPARED = """
import json, sys, threading, time
import otel_obs
from otel_obs.sdk import callbacks
from prometheus_client import REGISTRY, Gauge, generate_latest
from tests.support.waiting import until
callbacks.LEFT_OUT_S, callbacks.PATIENCE_S = 1.0, 0.3
pipeline = otel_obs.configure(runtime_metrics=False)
leave = threading.Event()
def say(what): print(json.dumps(what), flush=True)
def page(): return otel_obs.get_metrics()[0]
def theirs(): return generate_latest(REGISTRY)
def values(*names, page=page):
    samples = dict(line.rsplit(" ", 1) for line in page().decode().splitlines() if line and line[0] != "#")
    return [samples.get(name) for name in names]
"""


def test_one_that_hangs_is_left_out_and_others_are_asked_on_either_page() -> None:
    code = """
asked = []
def hang():
    asked.append(1)
    if len(asked) > 1:
        leave.wait()
    return 1
fresh = iter(range(10**6))
gauge = Gauge("depth", "Depth.", ["queue"])
gauge.labels("hangs").set_function(hang)
gauge.labels("fine").set_function(lambda: next(fresh))
Gauge("last", "Last.").set_function(lambda: 5)
hangs, fine = 'depth{queue="hangs"}', 'depth{queue="fine"}'
hanging = 'otel_obs_callbacks_hanging{instrument="depth"}'
say(values(hangs, "last"))
say(values("last", page=theirs))
before, = values(fine)
until(lambda: values(hangs) == [None], "its value's end")
say([values(hangs, page=theirs), values("last", page=theirs), values("last", hanging)])
until(lambda: float(values(fine)[0]) > float(before), "the other one's new value")
say([float(values(fine, page=theirs)[0]) > float(before), len(asked)])
leave.set()
until(lambda: values(hangs) == ["1.0"], "its new value")
say(values("last", hanging))
"""
    done = run(PREPARED + code)
    assert done.results == [
        ["1.0", "5.0"],
        ["5.0"],
        [[None], ["5.0"], ["5.0", "1.0"]],
        [True, 2],
        ["5.0", "0.0"],
    ]
    assert done.log.count("has not returned in time") == 1


def test_many_that_hang_keep_a_scrape_no_longer_and_no_other_from_being_asked() -> None:
    code = """
for number in range(6):
    Gauge(f"hangs_{number}", "Hangs.").set_function(leave.wait)
Gauge("last", "Last.").set_function(lambda: 5)
began_s = time.monotonic()
say(values("last"))
say(time.monotonic() - began_s < 10)
leave.set()
"""
    assert run(PREPARED + code).results == [["5.0"], True]


def test_one_that_ends_its_thread_is_only_not_there() -> None:
    code = """
callbacks.PATIENCE_S = 60.0
def cancelled():
    import asyncio
    raise asyncio.CancelledError
Gauge("exits", "Exits.").set_function(lambda: sys.exit())
Gauge("cancelled", "Cancelled.").set_function(cancelled)
Gauge("last", "Last.").set_function(lambda: 5)
began_s = time.monotonic()
say(values("exits", "cancelled", "last"))
say(time.monotonic() - began_s < 60)
"""
    done = run(PREPARED + code)
    assert done.results == [[None, None, "5.0"], True]
    assert done.log.count("the function of the gauge 'exits' raised SystemExit()") == 1


def test_setting_a_function_asks_it_not_and_shows_no_zero() -> None:
    code = """
Gauge("first", "First.").set(1)
gauge = Gauge("hangs", "Hangs.")
gauge.set(3)
asked = []
gauge.set_function(lambda: asked.append(1) or leave.wait())
say(not asked)
say(values("first", "hangs"))
leave.set()
"""
    assert run(PREPARED + code).results == [True, ["1.0", None]]


def test_one_that_fails_takes_no_other_workers_value_along() -> None:
    code = """
import os
gauge = Gauge("level", "Level.")
gauge.set(7)
values("level")
if os.fork() == 0:
    def fail():
        raise OSError
    gauge.set_function(fail)
    values("level")
    os._exit(0)
os.wait()
say(values("level"))
"""
    assert run(PREPARED + code).results == [["7.0"]]
