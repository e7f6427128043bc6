"""Whichever worker answers, the page is the same: families, types, texts, order and series."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict

from otel_obs.assembly.pipeline import Pipeline
from otel_obs.cells.membership import Service
from otel_obs.cells.worker import Worker
from otel_obs.exposition import negotiate, render
from otel_obs.sdk import MeterProvider
from otel_obs.settings import Settings

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
FORMATS = ("text/plain", OPENMETRICS, PROTOBUF)
OWN = "otel_obs_"


class Workers:
    """Several workers of one service, each of which can answer."""

    def __init__(self, base: str, count: int, views: list[View] | None = None) -> None:
        nonce = secrets.token_hex(8)
        self.pipelines = []
        ids = (os.getpid(), os.getppid())  # another process's id would be of everybody: it stays
        for number in range(count):
            service = Service([base], nonce)
            provider = MeterProvider(
                resource=Resource({"service.name": "shop", "process.pid": ids[number % 2]}),
                views=views or (),
                worker=Worker(service.open_store, service),
                shutdown_on_exit=False,
            )
            options = Settings().with_options(runtime_metrics=True)
            self.pipelines.append(Pipeline(options, provider, service.run_dir))

    def meter(self, number: int, scope: str = "m") -> Any:
        return self.pipelines[number].provider.get_meter(scope)

    def pages(self, accept: str) -> list[bytes]:
        """What each worker answers."""
        return [
            b"".join(render(pipeline.snapshot(), negotiate(accept), pipeline.options))
            for pipeline in self.pipelines
        ]


@pytest.fixture
def base() -> Iterator[str]:
    with TemporaryDirectory() as name:
        yield name


def same_page(workers: Workers) -> str:
    """The text that every worker answers; all formats are compared."""
    for accept in FORMATS:
        first, *others = workers.pages(accept)
        for other in others:
            assert other == first
    body = workers.pages(OPENMETRICS)[0].decode()
    list(strict(body))  # type: ignore[no-untyped-call]
    return workers.pages("text/plain")[0].decode()


def shown(text: str) -> list[str]:
    own = ("# ", "target_info", OWN)
    return [line for line in text.splitlines() if not line.startswith(own)]


def test_types_and_texts_are_not_decided_by_who_answers(base: str) -> None:
    workers = Workers(base, 2)
    for number, (first, second) in enumerate(
        (("counter", "up_down_counter"), ("up_down_counter", "counter"))
    ):
        for kind in (first, second):
            make = getattr(workers.meter(number), f"create_{kind}")
            make("jobs", description=f"by {kind}").add(1)
            make("jobs_total", description=f"total by {kind}").add(1, {"of": kind})
    assert shown(same_page(workers)) == ["jobs_total 2.0", 'jobs_total{of="counter"} 2.0', "jobs 2.0"]


def test_counters_whose_openmetrics_names_clash_stay(base: str) -> None:
    workers = Workers(base, 2)
    for number, names in enumerate((("orders", "orders.created"), ("orders.created", "orders"))):
        for name in names:
            workers.meter(number).create_counter(name).add(1)
    same_page(workers)
    for page in workers.pages(OPENMETRICS):
        families = strict(page.decode())  # type: ignore[no-untyped-call]
        found = {family.name: family.type for family in families}
        assert found["orders"] == "counter"
        assert found["orders_created_total"] == "unknown"


def test_gauges_that_become_one_series_are_the_latest_wherever_they_were_set(base: str) -> None:
    workers = Workers(base, 2)
    gauges = [workers.meter(number).create_gauge("g") for number in range(2)]
    gauges[0].set(1, {"code": 200})
    gauges[1].set(2, {"code": "200"})
    assert shown(same_page(workers)) == ['g{code="200"} 2.0']
    gauges[0].set(3, {"code": 200})
    assert shown(same_page(workers)) == ['g{code="200"} 3.0']


def test_two_instruments_of_one_stream_are_added_up_in_every_worker(base: str) -> None:
    views = [View(instrument_name="aa", name="one"), View(instrument_name="ab", name="one")]
    workers = Workers(base, 2, views)
    for number, names in enumerate((("aa", "ab"), ("ab", "aa"))):
        for amount, name in enumerate(names, 1):
            workers.meter(number).create_counter(name).add(amount)
    assert shown(same_page(workers)) == ["one_total 6.0"]


def test_the_pages_own_metrics_say_nothing_of_one_worker(base: str) -> None:
    workers = Workers(base, 2)
    workers.meter(0).create_counter("c").add(1)
    workers.meter(1).create_counter("c").add(1)
    page = same_page(workers)
    assert "otel_obs_workers 2.0" in page
    assert b"_files_skipped_created" not in workers.pages(OPENMETRICS)[1]


KINDS = ("counter", "up_down_counter", "gauge", "histogram", "exponential", "observable_counter")
MEASUREMENTS = st.tuples(
    st.sampled_from(KINDS),
    st.sampled_from(["a", "a.b", "a_b", "a_total", "a_created", "a.b.created", "a_sum", "a_seconds"]),
    st.sampled_from(["", "s"]),
    st.sampled_from(["", "One", "Two"]),
    st.sampled_from(["x", "y"]),
    st.dictionaries(
        st.sampled_from(["k", "k.l", "k_l"]), st.sampled_from(["", "1", 1, True, "x", None]), max_size=2
    ),
    st.integers(0, 5),
)
VIEWS = [View(instrument_name="exponential*", aggregation=ExponentialBucketHistogramAggregation(max_size=4))]


def record(workers: Workers, number: int, measurement: tuple[Any, ...]) -> None:
    kind, name, unit, text, scope, attributes, value = measurement
    meter = workers.meter(number, scope)
    if kind == "observable_counter":
        meter.create_observable_counter(name, [lambda _: [Observation(value, attributes)]], unit, text)
    elif kind == "exponential":
        meter.create_histogram(f"exponential_{name}", unit, text).record(value, attributes)
    else:
        made = getattr(meter, f"create_{kind}")(name, unit, text)
        verb = {"gauge": "set", "histogram": "record"}.get(kind, "add")
        getattr(made, verb)(value, attributes)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.lists(MEASUREMENTS, max_size=5), min_size=2, max_size=3),
)
def test_every_worker_answers_the_same(found: list[list[Any]]) -> None:
    with TemporaryDirectory() as base:
        workers = Workers(base, len(found), VIEWS)
        for number, measurements in enumerate(found):
            for measurement in measurements:
                record(workers, number, measurement)
        for pipeline in workers.pipelines:
            pipeline.provider.refresh_observables()
        same_page(workers)
