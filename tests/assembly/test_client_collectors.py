"""Collectors that others put into the default registry: one that hangs or fails takes nothing along."""

from __future__ import annotations

from tests.support.programs import run

PREPARED = """
import json, threading, time
import otel_obs
from otel_obs.sdk import callbacks
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from tests.support.waiting import until

def say(value):
    print(json.dumps(value), flush=True)

def values(*names):
    lines = otel_obs.get_metrics()[0].decode().splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if line and line[0] != "#")
    return [samples.get(name) for name in names]

class Fine:
    def collect(self):
        yield GaugeMetricFamily("fine", "Fine.", value=5)
"""


def test_one_that_hangs_takes_along_neither_the_scrape_nor_the_others_and_comes_back() -> None:
    code = """
callbacks.LEFT_OUT_S, callbacks.PATIENCE_S = 1.0, 0.3
pipeline = otel_obs.configure(runtime_metrics=False)
leave, asked = threading.Event(), []
class Hangs:
    def collect(self):
        asked.append(1)
        if len(asked) > 2:  # it is asked once as it is registered
            leave.wait()
        yield GaugeMetricFamily("hangs", "Hangs.", value=len(asked))
REGISTRY.register(Hangs())
REGISTRY.register(Fine())
hanging = 'otel_obs_callbacks_hanging{instrument="Hangs"}'
say(values("hangs", "fine", hanging))
say(values("fine")), say(values("hangs", hanging)[1])
until(lambda: values("hangs") == [None], "its value's end")
say(values("hangs", "fine")), say(len(asked))
leave.set()
until(lambda: values("hangs") != [None], "its new value")
say(values("fine", hanging))
"""
    done = run(PREPARED + code)
    assert done.results == [
        ["2.0", "5.0", None],
        ["5.0"],
        "1.0",
        [None, "5.0"],
        3,
        ["5.0", "0.0"],
    ]
    assert done.log.count("has not returned in time") == 1


def test_one_that_makes_a_page_within_its_own_answer_ends() -> None:
    code = """
otel_obs.configure(runtime_metrics=False)
class Within:
    def collect(self):
        yield GaugeMetricFamily("within", "Within.", value=len(otel_obs.get_metrics()[0]) > 0)
REGISTRY.register(Within())
REGISTRY.register(Fine())
say(values("within", "fine"))
"""
    assert run(PREPARED + code).results == [["1.0", "5.0"]]


def test_what_one_has_yielded_before_it_raises_is_kept_and_others_are_whole() -> None:
    code = """
otel_obs.configure(runtime_metrics=False)
class Fails:
    is_registered = False
    def collect(self):
        yield GaugeMetricFamily("before", "Before.", value=1)
        if self.is_registered:
            raise ValueError(str(time.time()))
fails = Fails()
REGISTRY.register(fails)
REGISTRY.register(Fine())
fails.is_registered = True
say([values("before", "fine") for _ in range(3)])
"""
    done = run(PREPARED + code)
    assert done.results == [[["1.0", "5.0"]] * 3]
    assert done.log.count("raised ValueError") == 1
