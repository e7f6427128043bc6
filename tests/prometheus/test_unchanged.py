"""Code that imports `prometheus_client`, unchanged: what it counts is right over every worker."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    generate_latest,
)

from otel_obs import prometheus
from otel_obs.prometheus import share
from tests.prometheus.test_workers import Fork, Shared
from tests.support.processes import clean_env

REGISTRY = prometheus_client.REGISTRY


@pytest.fixture(autouse=True)
def shared(service: object, tmp_path: Path) -> Iterator[Shared]:
    """A service of several workers, in which `prometheus_client` is stood in for."""
    shared = Shared(tmp_path)
    prometheus.install(shared)
    prometheus.stand_in()
    yield shared
    prometheus.stand_aside()


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def lines(beginning: str, registry: Any = REGISTRY) -> list[str]:
    text = generate_latest(registry).decode().splitlines()
    return [line for line in text if line.startswith(beginning) and "_created" not in line]


def test_every_kind_is_added_up() -> None:
    counter, gauge = Counter("c", "", ["k"]), Gauge("g", "", multiprocess_mode="livesum")
    histogram, summary = Histogram("h", "", buckets=(1, 2)), Summary("s", "")
    info, state = Info("i", ""), Enum("e", "", states=["on", "off"])

    def work() -> None:
        counter.labels("x").inc(2)
        gauge.set(3)
        histogram.observe(1.5)
        summary.observe(4)
        info.info({"v": "1"})
        state.state("off")

    with Fork(work), Fork(work):
        work()
        assert value("c_total", k="x") == 6
        assert value("g") == 9
        assert value("h_bucket", le="2.0") == value("h_count") == value("s_count") == 3
        assert value("s_sum") == 12
        assert value("i_info", v="1") == 1
        assert value("e", e="off") == 1


def test_metrics_are_what_they_were_made_of() -> None:
    class Twice(Counter):
        def inc(self, amount: float = 1, exemplar: Any = None) -> None:
            super().inc(amount * 2, exemplar)

    counter, twice = Counter("c", ""), Twice("t", "")
    assert isinstance(counter, Counter)
    assert isinstance(twice, Twice)
    assert repr(counter) == "prometheus_client.metrics.Counter(c)"
    with Fork(twice.inc):
        twice.inc()
        assert value("t_total") == 4


@pytest.fixture
def made_before() -> dict[str, Any]:
    """Metrics of every kind that were made, and used, while nobody stood in for their library."""
    prometheus.stand_aside()
    metrics: dict[str, Any] = {
        "counter": Counter("c", "", ["k"]),
        "gauge": Gauge("g", ""),
        "histogram": Histogram("h", "", buckets=(1, 2)),
        "summary": Summary("s", ""),
        "info": Info("i", ""),
        "state": Enum("e", "", states=["on", "off"]),
        "function": Gauge("f", ""),
    }
    metrics["counter"].labels("x").inc(3, {"trace": "7"})
    metrics["gauge"].set(4)
    metrics["histogram"].observe(1.5)
    metrics["histogram"].observe(9)
    metrics["summary"].observe(2)
    metrics["info"].info({"v": "1"})
    metrics["state"].state("off")
    metrics["function"].set_function(lambda: 42)
    return metrics


def test_what_was_counted_before_is_carried_over(made_before: dict[str, Any]) -> None:
    bound = made_before["counter"].labels("x")
    held = bound._value
    before = [line for line in lines("") if line[0] in "cghsief"]
    prometheus.stand_in()
    assert [line for line in lines("") if line[0] in "cghsief"] == before

    def work() -> None:
        bound.inc(10)
        made_before["summary"].observe(1)

    with Fork(work):
        bound.inc()
        held.inc(5)  # whoever holds a number goes on with it
        assert value("c_total", k="x") == 19
        assert value("s_count") == 2
        assert bound._value.get() == 9
        assert made_before["counter"].labels("x") is bound


def test_what_somebody_has_put_around_the_clients_constructor_stays(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    within = Counter.__init__

    @wraps(within)
    def watched(self: Any, name: str, *args: Any, **kwargs: Any) -> None:
        made.append(name)
        within(self, name, *args, **kwargs)

    monkeypatch.setattr(Counter, "__init__", watched)
    prometheus.stand_aside()
    Counter("alone", "").inc(2)
    prometheus.stand_in()
    with Fork(Counter("both", "").inc):
        assert value("alone_total") == 2
        assert value("both_total") == 1
    assert made == ["alone", "both"]
    assert Counter.__init__ is watched


def test_nothing_is_lost_that_threads_count_meanwhile(made_before: dict[str, Any]) -> None:
    bound = made_before["counter"].labels("x")
    has_begun, is_over = threading.Event(), threading.Event()
    counted = [0] * 4

    def work(at: int) -> None:
        while not is_over.is_set():
            bound.inc()
            counted[at] += 1
            has_begun.set()

    threads = [threading.Thread(target=work, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    has_begun.wait()
    prometheus.stand_in()
    is_over.set()
    for thread in threads:
        thread.join()
    assert bound._value.get() == 3 + sum(counted)


def test_a_gauge_of_the_default_mode_is_what_was_set_last_or_else_a_sum() -> None:
    level, running = Gauge("level", ""), Gauge("running", "")

    def work() -> None:
        level.set(1)
        running.inc(2)

    level.set(5)
    with Fork(work):
        running.inc()
        assert lines("level") == ["level 1.0"]
        assert lines("running") == ["running 3.0"]
        level.set(7)
        assert lines("level") == ["level 7.0"]


def test_a_jobs_registry_is_its_own() -> None:
    def job(rows: int) -> list[str]:
        registry = CollectorRegistry()
        counter = Counter("rows", "", registry=registry)
        counter.inc(rows)
        return lines("rows", registry)

    Counter("c", "").inc()
    with Fork(lambda: job(10)):
        assert job(5) == ["rows_total 5.0"]
        assert job(7) == ["rows_total 7.0"]
    assert job(5) == ["rows_total 5.0"]


SERVING: dict[str, Callable[[Any], object]] = {
    "wsgi": prometheus_client.make_wsgi_app,
    "asgi": prometheus_client.make_asgi_app,
    "handler": lambda registry: prometheus_client.MetricsHandler.factory(registry),
    "another registry": lambda registry: REGISTRY.register(registry),
    "share": share,
}


@pytest.mark.parametrize("way", SERVING)
def test_a_registry_that_is_served_is_merged_with_what_it_has_counted(way: str) -> None:
    registry = CollectorRegistry()
    counter = Counter("rows", "", registry=registry)
    counter.inc(2)
    SERVING[way](registry)
    with Fork(lambda: counter.inc(3)):
        assert lines("rows", registry) == ["rows_total 5.0"]
    if way == "another registry":
        assert lines("rows") == ["rows_total 5.0"]
        REGISTRY.unregister(registry)


MODULE = """
from prometheus_client import CollectorRegistry, Counter
FIRST, SECOND = CollectorRegistry(), CollectorRegistry()

def use(registry, amount):
    Counter("rows", "", registry=registry).inc(amount)
"""


@pytest.mark.parametrize("is_within", [False, True])
def test_a_shared_registry_has_what_only_other_workers_have_made_in_it(is_within: bool) -> None:
    registry, other = share(CollectorRegistry(), "first"), share(CollectorRegistry(), "second")
    outer = share(CollectorRegistry(), "outer") if is_within else registry
    if is_within:
        outer.register(registry)
    taken_out = Counter("out", "", registry=registry)

    def work() -> None:
        Counter("late", "As wanted", ["k"], registry=registry).labels("x").inc(2)
        Gauge("level", "", registry=registry, multiprocess_mode="all").set(4)
        Info("build", "", registry=registry).info({"v": "1"})
        Counter("others", "", registry=other).inc()
        taken_out.inc()

    with Fork(work):
        registry.unregister(taken_out)
        expected = ['late_total{k="x"} 2.0', "level 4.0", 'build_info{v="1"} 1.0']
        assert sorted(lines("", outer))[-3:] == sorted(expected)
        assert len([line for line in lines("", outer) if not line.startswith("#")]) == 3
        assert "# HELP late_total As wanted" in lines("#", outer)
        assert registry.get_sample_value("late_total", {"k": "x"}) == 2
        restricted: Any = registry.restricted_registry(["level", "others_total"])
        assert [line for line in lines("", restricted) if not line.startswith("#")] == ["level 4.0"]
        Counter("late", "As wanted", ["k"], registry=registry).labels("x").inc()
        assert lines("late", outer) == ['late_total{k="x"} 3.0']


def test_a_modules_registries_are_known_by_where_they_are_made(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "tables.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)

    def work() -> None:
        import tables  # type: ignore[import-not-found]

        tables.use(tables.SECOND, 10)
        tables.use(tables.FIRST, 1)

    with Fork(work):
        import tables

        tables.use(tables.FIRST, 2)
        tables.use(tables.SECOND, 20)
        assert lines("rows", tables.FIRST) == ["rows_total 3.0"]
        assert lines("rows", tables.SECOND) == ["rows_total 30.0"]
    del sys.modules["tables"]


def test_collectors_are_asked_before_anything_is_read() -> None:
    class Refresher:
        count = 0

        def describe(self) -> list[Any]:
            return []

        def collect(self) -> Iterator[Any]:
            Refresher.count += 1
            depth.labels("mail").set(Refresher.count)
            return iter(())

    class Asked(Gauge):
        def collect(self) -> Any:
            self.set(Refresher.count)
            return super().collect()

    refresher = Refresher()
    REGISTRY.register(refresher)
    depth = Gauge("depth", "", ["queue"])
    Asked("asked", "")
    try:
        for count in (1, 2, 3):
            assert lines("depth") == [f'depth{{queue="mail"}} {count}.0']
            assert lines("asked") == [f"asked {count + 1}.0"]
            Refresher.count -= 1
    finally:
        REGISTRY.unregister(refresher)


def test_a_subclass_makes_samples_out_of_the_numbers_of_all_workers() -> None:
    class Doubled(Counter):
        def _child_samples(self) -> Any:
            (total, *_) = super()._child_samples()
            return [total, total._replace(name="_doubled", value=2 * self._value.get())]

    counter = Doubled("c", "", ["k"])

    def work() -> None:
        counter.labels("x").inc(2)
        counter.labels("y").inc()

    with Fork(work):
        counter.labels("x").inc(3)
        assert sorted(lines("c_")) == [
            'c_doubled{k="x"} 10.0',
            'c_doubled{k="y"} 2.0',
            'c_total{k="x"} 5.0',
            'c_total{k="y"} 1.0',
        ]


def test_the_tables_of_series_may_be_emptied() -> None:
    counter = Counter("c", "", ["k"])
    for ending in (
        lambda: counter._metrics.clear(),
        lambda: counter._metrics.pop(("x",)),
        lambda: counter._metrics.__delitem__(("x",)),
        lambda: setattr(counter, "_metrics", {}),
        lambda: counter._metrics.popitem(),
    ):
        counter.labels("x").inc(5)
        ending()
        counter.labels("x").inc()
        assert lines("c_total") == ['c_total{k="x"} 1.0']
        counter.clear()


def test_numbers_may_be_read_and_written() -> None:
    counter, gauge, histogram = Counter("c", ""), Gauge("g", ""), Histogram("h", "", buckets=(1, 2))
    counter.inc(3)
    assert counter._value._value == 3
    counter._value.set(0)
    gauge._value._value = 7
    histogram.observe(1.5)
    assert [each._value for each in histogram._buckets] == [0, 1, 0]
    histogram._sum.set(9)
    assert (lines("c_total"), lines("g"), lines("h_sum")) == (["c_total 0.0"], ["g 7.0"], ["h_sum 9.0"])
    counter.inc(2)
    counter._metric_init()
    assert lines("c_total") == ["c_total 0.0"]


@pytest.mark.parametrize("kind", [Counter, Gauge, Summary, Histogram, Info, Enum])
def test_the_same_private_parts_are_there(kind: Any) -> None:
    options = {"states": ["on"]} if kind is Enum else {}
    made = {
        way: [kind(f"{way}_a", "", **options, **place), kind(f"{way}_b", "", ["k"], **options, **place)]
        for way, place in (("ours", {}), ("theirs", {"registry": None}))
    }

    def parts(metrics: list[Any]) -> list[list[str]]:
        names = ("_value", "_sum", "_count", "_buckets", "_metrics", "_lock", "_upper_bounds")
        return [
            [name for name in names if hasattr(each, name)] for each in (*metrics, metrics[1].labels("x"))
        ]

    assert parts(made["ours"]) == parts(made["theirs"])


def test_facts_that_one_worker_has_not_stated_are_not_there() -> None:
    info = Info("build", "")
    assert lines("build") == ["build_info 1.0"]  # as `prometheus_client` has it
    with Fork(lambda: info.info({"version": "1"})):
        Counter("c", "").inc()
        assert lines("build") == ['build_info{version="1"} 1.0']


def test_a_gauge_with_a_label_pid_keeps_its_values() -> None:
    gauge = Gauge("rss", "", ["pid"])
    gauge.labels("1").set(7)
    gauge.clear()
    gauge.labels("2").set(3)
    gauge.labels("3").inc(2)
    assert lines("rss") == ['rss{pid="2"} 3.0', 'rss{pid="3"} 2.0']


REGISTERING = """
import faulthandler, sys, threading
import otel_obs  # it is configured by the first record
from otel_obs.prometheus import REGISTRY, Summary, generate_latest
from otel_obs.prometheus.core import GaugeMetricFamily

class Recording:
    def __init__(self, name):
        self.name, self.took = name, Summary(f"{name}_took", "")

    def collect(self):
        with self.took.time():
            yield GaugeMetricFamily(self.name, "", value=3)

faulthandler.dump_traceback_later(60, exit=True)
threads = [threading.Thread(target=REGISTRY.register, args=(Recording(name),)) for name in sys.argv[1:]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
text = generate_latest().decode()
print([line for line in text.splitlines() if line.startswith("things") and "took" not in line])
"""


@pytest.mark.parametrize("names", [("things_a",), ("things_a", "things_b")])
def test_a_collector_that_records_is_registered_without_a_wait(names: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", REGISTERING, *names]
    done = subprocess.run(command, env=clean_env(), capture_output=True, text=True, timeout=240)
    assert sorted(ast.literal_eval(done.stdout)) == [f"{name} 3.0" for name in names], done.stderr


def test_a_metric_of_the_name_of_one_that_was_unregistered_begins_at_0_and_the_other_keeps_its_own() -> None:
    first = Counter("c", "", ["k"])
    first.labels("x").inc(3)
    REGISTRY.unregister(first)
    second = Counter("c", "", ["k"])
    second.labels("x").inc()
    first.labels("x").inc()
    assert lines("c_total") == ['c_total{k="x"} 1.0']
    (family,) = first.collect()
    assert family.samples[0].value == 4
    REGISTRY.unregister(second)
    REGISTRY.register(first)
    with Fork(first.labels("x").inc):
        assert lines("c_total") == ['c_total{k="x"} 5.0']


@pytest.mark.parametrize("kind", ["Counter", "Gauge", "Summary", "Histogram"])
@pytest.mark.parametrize("first", ["the client's", "ours"])
def test_a_metric_of_ours_records_to_cells_whichever_road_is_there_first(first: str, kind: str) -> None:
    # Each has a constructor around the client's, and neither may lie within the other.
    code = f"""
import otel_obs
first, kind = {first!r}, {kind!r}
if first == "ours":
    import otel_obs.prometheus
pipeline = otel_obs.configure(runtime_metrics=False)  # from here on the client is stood in for
from otel_obs import prometheus
import prometheus_client
def use(metric):
    (metric.inc if hasattr(metric, "inc") else metric.observe)(2)
metric = getattr(prometheus, kind)("m", "")
use(metric)
use(type(metric)("other", ""))
use(getattr(prometheus_client, kind)("third", ""))
names = [column.table.stream.name for column in pipeline.snapshot().columns]
print(sorted(set(names) & {{"m", "other", "third"}}))
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], env=clean_env(), capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "['m', 'other', 'third']"


def test_one_series_of_a_metric_may_be_collected_by_itself() -> None:
    counter, histogram = Counter("c", "", ["k", "l"]), Histogram("h", "", ["k"], buckets=(1,))
    info, state = Info("i", "", ["k"]), Enum("e", "", ["k"], states=["on", "off"])

    def work() -> None:
        counter.labels("x", "1").inc(2)
        counter.labels("y", "1").inc(9)
        histogram.labels("x").observe(3)
        info.labels("x").info({"v": "1"})
        info.labels("y").info({"v": "2"})
        state.labels("y").state("off")

    def collected(series: Any) -> list[tuple[str, dict[str, str], float]]:
        (family,) = series.collect()
        return [(each.name, each.labels, each.value) for each in family.samples if "created" not in each.name]

    with Fork(work):
        work()
        assert collected(counter.labels("x", "1")) == [("c_total", {}, 4)]
        assert ("h_count", {}, 2) in collected(histogram.labels("x"))
        assert collected(info.labels("y")) == [("i_info", {"v": "2"}, 1)]
        assert collected(state.labels("y")) == [("e", {"e": "on"}, 0), ("e", {"e": "off"}, 1)]
        assert collected(counter.labels("z", "1")) == [("c_total", {}, 0)]


@pytest.mark.parametrize("kind", [Info, Enum])
def test_a_subclass_of_what_is_stated_may_ask_for_the_samples(kind: Any) -> None:
    class Marked(kind):  # type: ignore[misc]
        def _child_samples(self) -> Any:
            return [each._replace(labels={**each.labels, "mark": "1"}) for each in super()._child_samples()]

    options = {"states": ["on", "off"]} if kind is Enum else {}
    plain: Any = kind("p", "", **options)
    marked: Any = Marked("m", "", ["k"], **options)
    for each in (plain, marked.labels("x")):
        if kind is Info:
            each.info({"v": "1"})
        else:
            each.state("off")
    assert [(each.labels, each.value) for each in plain._child_samples()] == {
        Info: [({"v": "1"}, 1)],
        Enum: [({"p": "on"}, 0), ({"p": "off"}, 1)],
    }[kind]
    assert (
        lines("m")
        == {
            Info: ['m_info{k="x",mark="1",v="1"} 1.0'],
            Enum: ['m{k="x",m="on",mark="1"} 0.0', 'm{k="x",m="off",mark="1"} 1.0'],
        }[kind]
    )


FILES = """
import os, sys
from prometheus_client import CollectorRegistry, Gauge, Counter, Histogram, generate_latest, multiprocess
modes = [live + mode for live in ("", "live") for mode in ("all", "sum", "min", "max", "mostrecent")]
gauges = [Gauge(f"g_{mode}", "", multiprocess_mode=mode) for mode in modes]
counter, histogram = Counter("c", "", ["k"]), Histogram("h", "", buckets=(1,))

def work(level, held=None):
    for gauge in gauges:
        gauge.set(level)
    counter.labels("x").inc(level)
    histogram.observe(level)

work(2)
held = counter.labels("x")._value
import otel_obs
otel_obs.configure(runtime_metrics=False)
for level in (5, 6):
    if os.fork() == 0:
        work(level)
        held.inc(100)
        os._exit(0)
    os.wait()
work(4)
held.inc(10)
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
for line in generate_latest(registry).decode().splitlines():
    if line.startswith(("g_", "c_total", "h_count")):
        print(line.replace(str(os.getpid()), "ME"))
"""


def test_what_was_counted_in_files_before_is_counted_once(tmp_path: Path) -> None:
    env = clean_env({"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)})
    done = subprocess.run([sys.executable, "-c", FILES], env=env, capture_output=True, text=True, timeout=240)
    # The two children are gone, and their gauges with them.
    gauges = {line.split()[0].partition("{")[0] for line in done.stdout.splitlines() if line.startswith("g_")}
    assert len(gauges) == 10, done.stderr
    counted = [line for line in done.stdout.splitlines() if not line.startswith("g_")]
    assert sorted(counted) == ['c_total{k="x"} 227.0', "h_count 4.0"], done.stderr
    levels = [line for line in done.stdout.splitlines() if line.startswith("g_")]
    assert {line.split()[1] for line in levels} == {"4.0"}, done.stdout
    assert len(levels) == 10
