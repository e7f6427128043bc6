"""Each metric is an OpenTelemetry instrument, and what is recorded goes wherever its provider sends it."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.metrics import Counter as SdkCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from otel_obs import prometheus
from otel_obs.prometheus import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    generate_latest,
    share,
)
from otel_obs.prometheus.openmetrics import exposition
from tests.prometheus.conftest import Alone


@pytest.fixture(autouse=True)
def _nothing_of_other_tests(service: Alone) -> None:
    """Metrics of a registry that refers to itself are there until the garbage collector comes."""
    gc.collect()


def pushed(reader: InMemoryMetricReader) -> dict[str, tuple[Any, str, list[tuple[dict[str, Any], Any]]]]:
    """What a reader sends: of each metric the unit, the kind of data, and attributes with values."""
    data = reader.get_metrics_data()
    if data is None:
        return {}
    return {
        metric.name: (
            metric.unit,
            type(metric.data).__name__,
            [
                (dict(point.attributes or {}), getattr(point, "value", None) or getattr(point, "sum", 0))
                for point in metric.data.data_points
            ],
        )
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def serve(**options: Any) -> Alone:
    """A service with these arguments of the provider, from now on."""
    alone = Alone(**options)
    prometheus.install(alone)
    return alone


def test_metrics_are_instruments_by_the_names_of_opentelemetry() -> None:
    reader = InMemoryMetricReader()
    serve(metric_readers=[reader])
    Counter("http_requests_total", "Requests", ["method"]).labels("GET").inc(3)
    Histogram("latency", "Latency", unit="seconds", buckets=(1, 2)).observe(1.5)
    Summary("payload", "Payload", unit="bytes").observe(7)
    Gauge("level", "Level").set(4)
    Info("build", "Build").info({"version": "1"})
    Enum("state", "State", states=["on", "off"]).state("off")
    assert pushed(reader) == {
        "http_requests": ("", "Sum", [({"method": "GET"}, 3.0)]),
        "latency_seconds": ("s", "Histogram", [({}, 1.5)]),
        "payload_bytes": ("By", "Histogram", [({}, 7.0)]),
        "level": ("", "Gauge", [({}, 4.0)]),
        "build_info": ("", "Gauge", [({"version": "1"}, 1.0)]),
        "state": ("", "Gauge", [({"state": "on"}, 0), ({"state": "off"}, 1.0)]),
    }


def test_metrics_of_other_registries_are_pushed_under_scopes_that_tell_them_apart() -> None:
    reader = InMemoryMetricReader()
    serve(metric_readers=[reader])
    Counter("c", "").inc()
    own = Counter("c", "", registry=share(CollectorRegistry(), "jobs"))
    own.inc(2)
    data = reader.get_metrics_data()
    assert data is not None
    scopes = [
        (scope.scope.attributes, scope.metrics[0].data.data_points[0].value)  # type: ignore[union-attr]
        for scope in data.resource_metrics[0].scope_metrics
    ]
    assert scopes == [({}, 1.0), ({"prometheus.registry": "jobs"}, 2.0)]


def test_a_reader_that_comes_late_sees_the_totals() -> None:
    alone = serve()
    counter = Counter("c", "", ["kind"])
    series = counter.labels("x")
    series.inc(5)
    reader = InMemoryMetricReader()
    alone.provider.add_metric_reader(reader)
    series.inc()
    assert pushed(reader) == {"c": ("", "Sum", [({"kind": "x"}, 6.0)])}


def test_differences_are_pushed_where_a_reader_wants_them() -> None:
    reader = InMemoryMetricReader({SdkCounter: AggregationTemporality.DELTA})
    serve(metric_readers=[reader])
    counter, gauge = Counter("c", ""), Gauge("g", "")
    counter.inc(5)
    gauge.inc(2)
    assert pushed(reader) == {"c": ("", "Sum", [({}, 5.0)]), "g": ("", "Gauge", [({}, 2.0)])}
    counter.inc()
    gauge.dec()
    assert pushed(reader) == {"c": ("", "Sum", [({}, 1.0)]), "g": ("", "Gauge", [({}, 1.0)])}


def test_views_change_what_is_exposed() -> None:
    serve(
        views=[
            View(instrument_name="orders", name="bought", attribute_keys={"kind"}),
            View(instrument_name="latency", aggregation=ExplicitBucketHistogramAggregation([1, 10])),
        ]
    )
    registry = share(CollectorRegistry())
    orders = Counter("orders", "Orders", ["kind", "user"], registry=registry)
    orders.labels("x", "u1").inc()
    orders.labels("x", "u2").inc(2)
    Histogram("latency", "Latency", registry=registry).observe(5)
    assert registry.get_sample_value("bought_total", {"kind": "x"}) == 3.0
    assert [line for line in generate_latest(registry).decode().splitlines() if "latency_bucket" in line] == [
        'latency_bucket{le="1.0"} 0.0',
        'latency_bucket{le="10.0"} 1.0',
        'latency_bucket{le="+Inf"} 1.0',
    ]


@pytest.fixture
def span() -> Any:
    """Being inside of a span that is sampled."""
    there = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    token = context.attach(trace.set_span_in_context(NonRecordingSpan(there)))
    yield
    context.detach(token)


@pytest.mark.usefixtures("span")
def test_measurements_inside_of_a_span_are_exemplars() -> None:
    registry = share(CollectorRegistry())
    counter = Counter("c", "", ["kind"], registry=registry).labels("x")
    for _ in range(3):
        counter.inc()
    Histogram("h", "", buckets=(1, 2), registry=registry).observe(1.5)
    lines = exposition.generate_latest(registry).decode().splitlines()  # type: ignore[no-untyped-call]
    labels = f'{{span_id="{0xDEF:016x}",trace_id="{0xABC:032x}"}}'
    assert [line.rpartition(" ")[0] for line in lines if "#" in line[1:]] == [
        f'c_total{{kind="x"}} 3.0 # {labels} 1.0',
        f'h_bucket{{le="2.0"}} 1.0 # {labels} 1.5',
    ]
