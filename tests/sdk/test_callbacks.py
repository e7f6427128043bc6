"""A callback that fails or hangs costs its own values, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread, Timer

import pytest

from otel_obs.sdk.callbacks import Callbacks
from tests.support.programs import run

PREPARED = """
import json, logging, os, sys, threading, time
os.environ["OTEL_OBS_RUNTIME_METRICS"] = "false"
import otel_obs
from opentelemetry import metrics
from opentelemetry.metrics import Observation
from otel_obs.sdk import callbacks
from tests.support.waiting import until
def say(what): print(json.dumps(what), flush=True)
def values(*names):
    text = otel_obs.get_metrics()[0].decode()
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
    return [samples.get(name) for name in names]
meter = metrics.get_meter("m")
"""


class Asked:
    """What is refreshed on the thread that asks for it."""

    is_ours, is_done, observed_s = True, False, 0.0

    def __init__(self, refresh: Callable[[], None]) -> None:
        self.refresh = refresh

    def leave_out(self) -> None:
        """There are no values."""


def test_one_that_hangs_takes_along_neither_the_scrape_nor_the_others_and_comes_back() -> None:
    code = """
callbacks.LEFT_OUT_S = 1.0
pipeline = otel_obs.configure()
leave, asked = threading.Event(), []
def hang(options):
    asked.append(1)
    if len(asked) > 1:
        leave.wait()
    return [Observation(len(asked))]
meter.create_observable_gauge("hangs", [hang])
meter.create_observable_counter("fine", [lambda options: [Observation(5)]])
hanging = 'otel_obs_callbacks_hanging{instrument="hangs"}'
say(values("hangs", "fine_total", hanging))
provider = pipeline.provider
provider.refresh_observables()
began_s = time.monotonic()
say(values("fine_total", hanging))
until(lambda: values("hangs") == [None], "its value's end")
say(values("hangs", "fine_total"))
for _ in range(5):
    provider.refresh_observables()
say([len(asked), time.monotonic() - began_s < 20])
leave.set()
until(lambda: values("hangs") == ["2.0"] or values("hangs") == ["3.0"], "its new value")
say(values("fine_total", hanging))
"""
    finished = run(PREPARED + code)
    assert finished.results == [
        ["1.0", "5.0", None],
        ["5.0", "1.0"],
        [None, "5.0"],
        [2, True],
        ["5.0", "0.0"],
    ]
    assert finished.log.count("a callback of <ObservableGauge 'hangs'> has not returned in time") == 1


def test_one_that_another_thread_begins_meanwhile_is_waited_for() -> None:
    every = Callbacks()
    begun, go_on = Event(), Event()
    others: list[Thread] = []

    def begin_elsewhere() -> None:
        others.append(Thread(target=every.refresh, args=([second], 0.0)))
        others[0].start()
        assert begun.wait(60)

    def take_a_while() -> None:
        begun.set()
        assert go_on.wait(60)
        second.is_done = True

    first, second = Asked(begin_elsewhere), Asked(take_a_while)
    Timer(0.1, go_on.set).start()
    every.refresh([first, second], 0.0)
    assert second.is_done
    others[0].join()


def test_one_that_hangs_keeps_no_reader_from_collecting_the_rest() -> None:
    code = """
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from otel_obs.sdk import MeterProvider, collect
collect._CALLBACK_MS = 200
reader = InMemoryMetricReader()
provider = MeterProvider([reader], shutdown_on_exit=False)
meter, leave = provider.get_meter("m"), threading.Event()
meter.create_observable_gauge("hangs", [lambda options: leave.wait() and []])
meter.create_observable_gauge("fine", [lambda options: [Observation(5)]])
def names():
    data = reader.get_metrics_data()
    return sorted(m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics)
say([names(), names()])
leave.set()
"""
    assert run(PREPARED + code).results == [[["fine"], ["fine"]]]


def test_one_that_scrapes_does_not_wait_for_itself() -> None:
    code = """
callbacks.PATIENCE_S = 30.0
otel_obs.configure()
def scrape(options):
    return [Observation(len(otel_obs.get_metrics()[0]) > 0)]
meter.create_observable_gauge("one", [scrape])
meter.create_observable_gauge("two", [scrape])
began_s = time.monotonic()
say(values("one", "two"))
say(time.monotonic() - began_s < callbacks.PATIENCE_S)
"""
    assert run(PREPARED + code).results == [["1.0", "1.0"], True]


def test_one_that_fails_is_logged_once_whatever_it_says() -> None:
    code = """
pipeline = otel_obs.configure()
def fail(options):
    raise ValueError(f"at {time.monotonic_ns()}")
def look(options):
    caller = sys._getframe(1)
    raise ValueError("with its caller's frame")
meter.create_observable_gauge("fails", [fail])
meter.create_observable_gauge("looks", [look])
meter.create_counter("fine").add(1)
for _ in range(3):
    pipeline.provider.refresh_observables()
say(values("fine_total"))
"""
    finished = run(PREPARED + code)
    assert finished.results == [["1.0"]]
    assert finished.log.count("a callback of 'fails' failed") == 1
    assert finished.log.count("a callback of 'looks' failed") == 1


@pytest.mark.parametrize("threads", ["may start", "may not start"])
def test_a_first_scrape_has_what_is_observed(threads: str) -> None:
    """The thread that keeps values fresh has just begun: its values are waited for."""
    code = f"""
os.environ["OTEL_OBS_RUNTIME_METRICS"] = "true"
callbacks.PATIENCE_S = 30.0
if {threads == "may not start"}:
    def refuse(*arguments):
        raise RuntimeError("can't start new thread")
    threading._start_new_thread = refuse
otel_obs.configure()
meter.create_observable_gauge("asked", [lambda options: [Observation(7)]])
meter.create_counter("first").add(1)
names = "system_memory_percent", "process_resident_memory_bytes", "asked"
say([value is not None for value in values(*names)])
"""
    assert run(PREPARED + code).results == [[True, True, True]]


@pytest.mark.parametrize("hook", ["before", "after"])
def test_a_first_scrape_in_an_exit_handler(hook: str) -> None:
    registered = "import atexit\natexit.register(lambda: say(values('jobs_total')))\n"
    work = "otel_obs.configure()\nmeter.create_counter('jobs').add(1)\n"
    parts = (registered, work) if hook == "before" else (work, registered)
    assert run(PREPARED + "".join(parts)).results == [["1.0"]]


@pytest.mark.parametrize(("age", "asked"), [("0", 3), ("5000", 1)])
def test_a_scrape_that_follows_closely_asks_again_where_that_is_wanted(age: str, asked: int) -> None:
    code = """
asked = []
otel_obs.configure(callback_age_ms=sys.argv[1])
meter.create_observable_gauge("asked", [lambda options: asked.append(1) or [Observation(len(asked))]])
for _ in range(3):
    otel_obs.get_metrics()
say(len(asked))
"""
    assert run(PREPARED + code, age).results == [asked]


def test_callbacks_of_one_instrument_are_asked_each_by_itself() -> None:
    code = """
callbacks.LEFT_OUT_S, callbacks.PATIENCE_S = 1.0, 0.3
pipeline = otel_obs.configure()
leave, asked = threading.Event(), []
def hang(options):
    asked.append(1)
    if len(asked) > 1:
        leave.wait()
    return [Observation(1, {"by": "hangs"}), Observation(1, {"by": "both"})]
fresh = iter(range(10**6))
def fine(options):
    return [Observation(next(fresh), {"by": "fine"}), Observation(1, {"by": "both"})]
meter.create_observable_counter("jobs", [hang, fine])
every = ['jobs_total{by="hangs"}', 'jobs_total{by="both"}', 'jobs_total{by="fine"}']
say(values(*every[:2]))
until(lambda: values(every[0]) == [None], "its value's end")
before = float(values(every[2])[0])
say(values(every[1]))  # a part of it would look like a reset
until(lambda: float(values(every[2])[0]) > before, "the other one's new value")
say(len(asked))
leave.set()
until(lambda: values(every[0]) == ["1.0"], "its new value")
say(values(every[1]))
"""
    assert run(PREPARED + code).results == [["1.0", "2.0"], [None], 2, ["2.0"]]


def test_a_reader_gets_what_the_other_callbacks_of_an_instrument_give() -> None:
    code = """
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from otel_obs.sdk import MeterProvider, collect
collect._CALLBACK_MS = 200
reader = InMemoryMetricReader()
provider = MeterProvider([reader], shutdown_on_exit=False)
meter, leave = provider.get_meter("m"), threading.Event()
fine = lambda options: [Observation(5, {"by": "fine"})]
meter.create_observable_gauge("level", [lambda options: leave.wait() and [], fine])
def points():
    data = reader.get_metrics_data()
    metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
    return [(point.attributes["by"], point.value) for m in metrics for point in m.data.data_points]
say([points(), points()])
leave.set()
"""
    assert run(PREPARED + code).results == [[[["fine", 5.0]], [["fine", 5.0]]]]


def test_many_that_are_slow_keep_no_scrape_for_long_and_take_turns() -> None:
    code = """
callbacks.PATIENCE_S = 0.5
otel_obs.configure(callback_age_ms=0)
asked = set()
def slow(number):
    def callback(options):
        asked.add(number)
        time.sleep(0.2)
        return [Observation(1)]
    return callback
for number in range(12):
    meter.create_observable_gauge(f"slow_{number}", [slow(number)])
began_s = time.monotonic()
otel_obs.get_metrics()
say([time.monotonic() - began_s < 60, len(asked) < 12])
until(lambda: otel_obs.get_metrics() and len(asked) == 12, "each one's turn")
"""
    finished = run(PREPARED + code)
    assert finished.results == [[True, True]]
    assert "has not returned in time" not in finished.log


def test_functions_of_the_catalog_are_asked_each_by_itself() -> None:
    code = """
callbacks.LEFT_OUT_S, callbacks.PATIENCE_S = 1.0, 0.3
otel_obs.configure()
from otel_obs.catalog import cache, model
leave, asked = threading.Event(), []
def hang():
    asked.append(1)
    if len(asked) > 1:
        leave.wait()
    return 3
hanging_info = {"hits": 1, "misses": 1, "currsize": 2}
def hanging_cache():
    if len(asked) > 1:
        leave.wait()
    return hanging_info
model.model_state.set_function(hang)
cache.observe(hanging_cache)
cache.observe(lambda: {"hits": 1, "misses": 1, "currsize": 5})
say(values("model_state", "cache_size_current", "cache_hits_total"))
until(lambda: values("model_state", "cache_size_current") == [None, "5.0"], "the values' end")
leave.set()
until(lambda: values("model_state", "cache_size_current") == ["3.0", "7.0"], "their new values")
say(values("cache_hits_total"))
"""
    assert run(PREPARED + code).results == [["3.0", "7.0", "2.0"], ["2.0"]]


def test_what_is_asked_for_over_and_over_is_said_once() -> None:
    code = """
from otel_obs.sdk import MeterProvider
provider = MeterProvider(shutdown_on_exit=False)
meter = provider.get_meter("m")
for _ in range(3):
    meter.create_histogram("h", explicit_bucket_boundaries_advisory=[1, 2])
    meter.create_histogram("h", explicit_bucket_boundaries_advisory=[3])
    provider.get_meter("")
provider.shutdown()
for _ in range(3):
    provider.get_meter("late")
say("done")
"""
    log = run(PREPARED + code).log.splitlines()
    assert len([line for line in log if "was created before" in line]) == 1
    assert len([line for line in log if "a meter needs a name" in line]) == 1
    assert len([line for line in log if "'late' is asked for after the shutdown" in line]) == 1
