"""What this package has beside what `prometheus_client` has, and where it is better."""

from __future__ import annotations

import asyncio
import enum
import gc
import inspect
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator

import prometheus_client
import pytest

from otel_obs import prometheus
from otel_obs.prometheus import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    share,
)
from otel_obs.prometheus._inventory import _All, remove_collected
from tests.prometheus.conftest import Alone
from tests.support.calls import python_calls

KINDS = ["Counter", "Enum", "Gauge", "Histogram", "Info", "Summary"]


@pytest.fixture
def registry() -> CollectorRegistry:
    return share(CollectorRegistry())


@pytest.mark.parametrize("kind", KINDS)
def test_a_metric_is_one_of_prometheus_client_too(kind: str) -> None:
    ours, theirs = getattr(prometheus, kind), getattr(prometheus_client, kind)
    assert issubclass(ours, theirs)
    assert inspect.signature(ours) == inspect.signature(theirs)


def test_there_is_one_default_registry() -> None:
    assert REGISTRY is prometheus_client.REGISTRY
    Counter("ours", "").inc(2)
    theirs = prometheus_client.Counter("theirs", "")
    try:
        theirs.inc(3)
        assert prometheus_client.REGISTRY.get_sample_value("ours_total") == 2
        assert REGISTRY.get_sample_value("theirs_total") == 3
        with pytest.raises(ValueError, match="Duplicated timeseries"):
            Counter("theirs", "")
    finally:
        REGISTRY.unregister(theirs)


def test_a_metric_goes_into_a_registry_of_prometheus_client() -> None:
    registry = prometheus_client.CollectorRegistry()
    Counter("c", "Help", registry=registry).inc()
    assert prometheus_client.generate_latest(registry).startswith(
        b"# HELP c_total Help\n# TYPE c_total counter\nc_total 1.0\n"
    )


def test_metrics_that_are_made_before_anything_is_configured_record_from_the_first_call() -> None:
    prometheus.uninstall()
    counter, level = Counter("early", ""), Gauge("level", "", ["kind"])
    waiting = level.labels("waiting")
    alone = Alone()
    prometheus.install(alone)
    assert alone.provider.worker.opened is None
    assert REGISTRY.get_sample_value("early_total") == 0
    assert REGISTRY.get_sample_value("level", {"kind": "waiting"}) == 0
    counter.inc()
    waiting.set(3)
    assert REGISTRY.get_sample_value("early_total") == 1
    assert REGISTRY.get_sample_value("level", {"kind": "waiting"}) == 3


def test_the_first_record_of_a_process_brings_all_its_metrics_along(service: Alone) -> None:
    gc.collect()  # metrics of other tests, that something still holds
    Counter("c", "")
    Info("build", "").info({"version": "1"})
    Enum("state", "", states=["on", "off"]).state("off")
    assert service.snapshot().columns == []
    Gauge("g", "").set(7)
    assert {
        (column.table.stream.name, dict(attributes).get("state")): value
        for column in service.snapshot().columns
        for attributes, value in zip(column.table.attributes, column.values, strict=True)
    } == {("g", None): 7, ("c", None): 0, ("build_info", None): 1, ("state", "on"): 0, ("state", "off"): 1}


def test_labels_are_told_apart_as_their_texts_are(registry: CollectorRegistry) -> None:
    class Status(str, enum.Enum):
        OK = "ok"

        def __str__(self) -> str:
            return "Status.OK"

    counter = Counter("c", "", ["l"], registry=registry)
    for _ in range(2):
        for value in (1, True, 1.0, "1", "ok", Status.OK, None, -0.0, 0.0):
            counter.labels(value).inc()
            counter.labels(l=value).inc()
    assert {
        sample.labels["l"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "c_total"
    } == {"1": 8, "True": 4, "1.0": 4, "ok": 4, "Status.OK": 4, "None": 4, "-0.0": 4, "0.0": 4}


def test_a_series_is_the_same_object_however_it_is_asked_for(registry: CollectorRegistry) -> None:
    counter = Counter("c", "", ["a", "b"], registry=registry)
    series = counter.labels("1", "2")
    assert counter.labels(1, 2) is series
    assert counter.labels(b="2", a="1") is series
    assert counter.labels(a=1, b="2") is series
    assert isinstance(series, Counter)


def test_who_holds_a_removed_series_does_not_bring_it_back(registry: CollectorRegistry) -> None:
    counter = Counter("c", "", ["l"], registry=registry)
    held = counter.labels("x")
    held.inc(2)
    counter.remove("x")
    held.inc()
    assert held._value.get() == 3
    assert registry.get_sample_value("c_total", {"l": "x"}) is None
    counter.labels("x").inc()
    assert registry.get_sample_value("c_total", {"l": "x"}) == 1


def test_clear_drops_what_holders_still_record_to(registry: CollectorRegistry) -> None:
    histogram = Histogram("h", "", ["l"], buckets=(1, 2), registry=registry)
    held = histogram.labels("x")
    held.observe(1.5)
    histogram.clear()
    held.observe(1.5)
    assert [bucket.get() for bucket in held._buckets] == [0, 2, 0]
    assert registry.get_sample_value("h_count", {"l": "x"}) is None


def test_registering_again_goes_on_and_another_metric_of_the_name_starts_over() -> None:
    first = Counter("c", "")
    first.inc(5)
    REGISTRY.unregister(first)
    assert REGISTRY.get_sample_value("c_total") is None
    REGISTRY.register(first)
    assert REGISTRY.get_sample_value("c_total") == 5
    REGISTRY.unregister(first)
    second = Counter("c", "")
    second.inc()
    first.inc()
    assert REGISTRY.get_sample_value("c_total") == 1


def test_registries_do_not_see_each_others_metrics(registry: CollectorRegistry) -> None:
    other = share(CollectorRegistry())
    Counter("c", "", registry=registry).inc()
    Counter("c", "", registry=other).inc(2)
    Counter("c", "").inc(3)
    values = [each.get_sample_value("c_total") for each in (registry, other, REGISTRY)]
    assert values == [1, 2, 3]


def test_a_metric_that_is_gone_takes_its_series_along(service: Alone) -> None:
    def use() -> None:
        registry = share(CollectorRegistry(), "jobs")
        Counter("c", "", ["l"], registry=registry).labels("x").inc()
        assert registry.get_sample_value("c_total", {"l": "x"}) == 1

    use()
    gc.collect()
    use()
    assert [column.table.stream.scope.attributes for column in service.snapshot().columns] == [
        (("prometheus.registry", "jobs"),)
    ]


def test_a_histogram_of_a_series_that_is_gone_begins_anew_as_a_whole(registry: CollectorRegistry) -> None:
    histogram = Histogram("h", "", ["l"], registry=registry, buckets=(1, 2))
    child = histogram.labels("x")
    histogram.remove("x")
    child.observe(1)
    child.observe(5)
    child._metric_init()
    assert {sample.value for sample in child._child_samples() if sample.name != "_created"} == {0}


def test_what_a_signal_handler_raises_is_not_swallowed_where_a_metric_dies() -> None:
    metric = Counter("c", "", ["l"], registry=None)
    remove_collected()
    with python_calls() as called:
        del metric
    assert called == []
    remove_collected()
    assert _All.dropped == deque()


def test_too_many_series_share_one(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    prometheus.install(Alone(cardinality_limit=4))
    counter = Counter("c", "", ["l"], registry=registry)
    for number in range(10):
        counter.labels(number).inc()
    assert {
        next(iter(sample.labels.items())): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "c_total"
    } == {("l", "0"): 1, ("l", "1"): 1, ("l", "2"): 1, ("otel_metric_overflow", "true"): 7}
    assert len(counter._metrics) == 3
    said = (
        "'c' has reached its limit of 4 series; further attribute sets share one with "
        'otel_metric_overflow="true"; look for an attribute with too many values'
    )
    assert [record.getMessage() for record in caplog.records] == [said]
    counter.clear()
    assert [sample for family in registry.collect() for sample in family.samples] == []


def test_a_function_that_fails_takes_its_series_out_and_is_logged_once(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    values: list[float] = [1.0]
    gauge = Gauge("g", "", registry=registry)
    gauge.set_function(lambda: values[0])
    assert registry.get_sample_value("g") == 1
    broken, values[0:] = values[:], []
    assert registry.get_sample_value("g") is None
    assert registry.get_sample_value("g") is None
    values[0:] = broken
    assert registry.get_sample_value("g") == 1
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, "the function of the gauge 'g' failed; its series is not exposed")
    ]


def test_coroutines_are_measured_from_their_begin_to_their_end(registry: CollectorRegistry) -> None:
    histogram = Histogram("h", "", registry=registry)
    gauge, counter = Gauge("g", "", registry=registry), Counter("c", "", registry=registry)

    @histogram.time()
    @gauge.track_inprogress()
    @counter.count_exceptions(ValueError)
    async def work(fails: bool) -> str:
        """Work."""
        await asyncio.sleep(0.01)
        assert registry.get_sample_value("g") == 1
        if fails:
            raise ValueError
        return "done"

    assert work.__doc__ == "Work."
    assert list(inspect.signature(work).parameters) == ["fails"]
    assert asyncio.run(work(False)) == "done"
    with pytest.raises(ValueError, match="^$"):
        asyncio.run(work(True))
    assert registry.get_sample_value("h_count") == 2
    assert (registry.get_sample_value("h_sum") or 0) >= 0.02
    assert registry.get_sample_value("g") == 0
    assert registry.get_sample_value("c_total") == 1


def test_generators_are_measured_from_their_first_step_to_their_end(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "", registry=registry)
    summary = Summary("s", "", registry=registry)

    @summary.time()
    @gauge.track_inprogress()
    def numbers() -> Iterator[int]:
        yield 1
        yield 2

    @gauge.track_inprogress()
    async def letters() -> AsyncIterator[str]:
        yield "a"

    async def read() -> list[str]:
        return [letter async for letter in letters() if registry.get_sample_value("g") == 1]

    steps = numbers()
    assert registry.get_sample_value("g") == 0
    assert next(steps) == 1
    assert registry.get_sample_value("g") == 1
    assert list(steps) == [2]
    assert registry.get_sample_value("g") == 0
    assert registry.get_sample_value("s_count") == 1
    assert asyncio.run(read()) == ["a"]
    assert registry.get_sample_value("g") == 0


def test_numbers_of_a_process_are_where_tests_look_for_them(registry: CollectorRegistry) -> None:
    counter = Counter("c", "", ["l"], registry=registry)
    counter.labels("x").inc(2)
    histogram = Histogram("h", "", buckets=(1, 2), registry=registry)
    histogram.observe(1.5)
    summary = Summary("s", "", registry=registry)
    summary.observe(4)
    gauge = Gauge("g", "", registry=registry)
    gauge._value.set(3)
    gauge._value.inc(1)
    assert counter.labels("x")._value.get() == 2
    assert histogram._sum.get() == 1.5
    assert [bucket.get() for bucket in histogram._buckets] == [0, 1, 0]
    assert (summary._count.get(), summary._sum.get()) == (1, 4)
    assert gauge._value.get() == 4


def test_names_are_restricted_to_what_is_asked_for() -> None:
    Counter("a", "").inc()
    Counter("b", "").inc()
    restricted = REGISTRY.restricted_registry(["a_total", "python_info"])
    assert {(family.name, len(family.samples)) for family in restricted.collect()} == {
        ("a", 1),
        ("python_info", 1),
    }


def test_a_whole_scrape_is_of_one_moment(registry: CollectorRegistry, service: Alone) -> None:
    first, second = Counter("first", "", registry=registry), Counter("second", "", registry=registry)

    class Between:
        """Records while the registry is being read."""

        def collect(self) -> list[prometheus_client.Metric]:
            first.inc()
            second.inc()
            return []

    registry.unregister(second)
    registry.register(Between())
    registry.register(second)
    for _ in range(3):
        values = {family.name: family.samples[0].value for family in registry.collect()}
        assert values["first"] == values["second"]
