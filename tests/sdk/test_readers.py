"""Every reader of the SDK works on the provider; its life, its warnings, its proxies."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    InMemoryMetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import View
from prometheus_client import CollectorRegistry, generate_latest

from otel_obs.errors import DeclarationError
from otel_obs.sdk import MeterProvider
from tests.support.waiting import until

FILTERS: dict[str, Any] = {
    "always on": AlwaysOnExemplarFilter,
    "always off": AlwaysOffExemplarFilter,
    "trace based": TraceBasedExemplarFilter,
    "default": lambda: None,
}
Step = tuple[float, str, int, bool, bool]
STEPS = st.lists(
    st.tuples(
        st.integers(0, 40).map(lambda number: number / 4),
        st.sampled_from(["a", "b"]),
        st.integers(0, 3),
        st.booleans(),
        st.booleans(),
    ),
    max_size=12,
)


def in_span(trace_id: int, is_sampled: bool) -> Context:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if is_sampled else trace.TraceFlags.DEFAULT)
    span = trace.NonRecordingSpan(trace.SpanContext(trace_id, trace_id + 1, False, flags))
    return trace.set_span_in_context(span) if trace_id else Context()


def exemplars(provider_class: Any, filter_name: str, steps: list[Step]) -> Any:
    """What the histogram's reservoirs give, which is certain: they keep the last one of each bucket."""
    reader = InMemoryMetricReader()
    provider = provider_class(
        [reader],
        exemplar_filter=FILTERS[filter_name](),
        shutdown_on_exit=False,
        views=[View(instrument_name="h", attribute_keys={"kept"})],
    )
    histogram = provider.get_meter("m").create_histogram("h", explicit_bucket_boundaries_advisory=[1, 5])
    collected: list[Any] = []
    for amount, key, trace_id, is_sampled, collects in steps:
        histogram.record(amount, {"kept": key, "dropped": "x"}, in_span(trace_id, is_sampled))
        if collects:
            collected.append(reader.get_metrics_data())
    collected.append(reader.get_metrics_data())
    return [
        [
            (
                dict(point.attributes),
                each.value,
                each.trace_id,
                each.span_id,
                dict(each.filtered_attributes or {}),
            )
            for scope in data.resource_metrics[0].scope_metrics
            for point in scope.metrics[0].data.data_points
            for each in point.exemplars
        ]
        for data in collected
        if data is not None
    ]


@pytest.mark.parametrize("filter_name", FILTERS)
@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
def test_exemplars_are_those_of_the_sdk(filter_name: str, steps: list[Step]) -> None:
    assert exemplars(MeterProvider, filter_name, steps) == exemplars(sdk.MeterProvider, filter_name, steps)


def test_the_console_exporter_prints_what_was_recorded() -> None:
    out = io.StringIO()
    reader = PeriodicExportingMetricReader(ConsoleMetricExporter(out=out), export_interval_millis=60_000)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    provider.get_meter("m").create_counter("c").add(2, {"k": "v"})
    assert provider.force_flush()
    provider.shutdown()
    printed = json.loads(out.getvalue().split("\n{")[0])
    metric = printed["resource_metrics"][0]["scope_metrics"][0]["metrics"][0]
    assert metric["name"] == "c"
    assert metric["data"]["data_points"][0]["value"] == 2


def test_the_stock_prometheus_reader_works() -> None:
    registry = CollectorRegistry()
    provider = MeterProvider(
        [PrometheusMetricReader(registry=registry, scope_info_enabled=False)], shutdown_on_exit=False
    )
    provider.get_meter("m").create_counter("c", "s", "a counter").add(2, {"k": "v"})
    assert 'c_seconds_total{k="v"} 2.0' in generate_latest(registry).decode()


def test_a_reader_that_comes_later_sees_the_totals(caplog: pytest.LogCaptureFixture) -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    counter = provider.get_meter("m").create_counter("c")
    counter.add(2)
    reader = InMemoryMetricReader()
    provider.add_metric_reader(reader)
    counter.add(3)
    data = reader.get_metrics_data()
    assert data is not None
    point: Any = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0]
    assert point.value == 5
    provider.add_metric_reader(reader)
    assert "'InMemoryMetricReader' belongs to a MeterProvider already; make a reader for each" in caplog.text
    provider.remove_metric_reader(reader)
    provider.remove_metric_reader(reader)
    assert "is not attached" in caplog.text


def test_after_shutdown_meters_do_nothing_and_a_second_one_is_said(caplog: pytest.LogCaptureFixture) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    provider.shutdown()
    provider.get_meter("late").create_counter("c").add(1)
    provider.shutdown()
    assert "shutdown can only be called once" in caplog.text
    assert reader.get_metrics_data() is None


@pytest.mark.parametrize("name", FILTERS)
def test_exemplars_of_callbacks_are_those_of_the_sdk(name: str) -> None:
    def callback(_: CallbackOptions) -> list[Observation]:
        return [
            Observation(3, {"k": 1, "l": 2}, in_span(7, True)),
            Observation(4, {"k": 2}, in_span(8, False)),
        ]

    def collected(provider_class: Any) -> Any:
        reader = InMemoryMetricReader()
        views = [View(instrument_name="c", attribute_keys={"k"})]
        provider = provider_class(
            [reader], exemplar_filter=FILTERS[name](), views=views, shutdown_on_exit=False
        )
        provider.get_meter("m").create_observable_counter("c", [callback])
        data: Any = reader.get_metrics_data()
        metric = data.resource_metrics[0].scope_metrics[0].metrics[0]
        return [
            [
                point.attributes,
                *((each.value, each.filtered_attributes, each.trace_id) for each in point.exemplars),
            ]
            for point in metric.data.data_points
        ]

    ours = collected(MeterProvider)
    assert ours == collected(sdk.MeterProvider)
    counts = {"always on": [2, 2], "always off": [1, 1]}
    assert [len(point) for point in ours] == counts.get(name, [2, 1])


def test_what_callbacks_record_is_in_the_same_collection() -> None:
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("m")
    calls, late = meter.create_counter("calls"), meter.create_counter("late")
    calls.add(1)

    def callback(_: CallbackOptions) -> list[Observation]:
        calls.add(1)
        late.add(1)
        return []

    meter.create_observable_gauge("g", [callback])
    data: Any = reader.get_metrics_data()
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    assert {metric.name: metric.data.data_points[0].value for metric in metrics} == {"calls": 2, "late": 1}


def test_callbacks_that_take_longer_than_a_reader_waits_end_its_collection() -> None:
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("m")
    left_ms = []

    def callback(options: CallbackOptions) -> list[Observation]:
        left_ms.append(options.timeout_millis)
        deadline_s = time.monotonic() + 0.6
        until(lambda: time.monotonic() > deadline_s, "the end of a slow callback")
        return []

    meter.create_observable_gauge("g", [callback])
    with pytest.raises(
        sdk.MetricsTimeoutError, match="<ObservableGauge 'g'>: its callbacks ended after 500 ms"
    ):
        reader.collect(timeout_millis=500)
    assert 0 < left_ms[0] <= 500


@pytest.mark.parametrize("url", [None, "", "https://example.org/schema"])
def test_the_schema_of_a_scope_is_that_of_the_sdk(url: str | None) -> None:
    def schemas(provider_class: Any) -> tuple[Any, Any]:
        reader = InMemoryMetricReader()
        provider_class([reader], shutdown_on_exit=False).get_meter("m", schema_url=url).create_counter(
            "c"
        ).add(1)
        data: Any = reader.get_metrics_data()
        (scope,) = data.resource_metrics[0].scope_metrics
        return scope.schema_url, scope.scope.schema_url

    assert schemas(MeterProvider) == schemas(sdk.MeterProvider)


def test_a_reader_belongs_to_one_provider() -> None:
    reader = InMemoryMetricReader()
    first = MeterProvider([reader], shutdown_on_exit=False)
    with pytest.raises(DeclarationError, match="'InMemoryMetricReader' belongs to a MeterProvider already"):
        MeterProvider([reader], shutdown_on_exit=False)
    first.remove_metric_reader(reader)
    MeterProvider([reader], shutdown_on_exit=False)


def test_a_failing_reader_is_named() -> None:
    class Failing(InMemoryMetricReader):
        def force_flush(self, timeout_millis: float = 10_000) -> bool:
            raise ConnectionError("no route")

    provider = MeterProvider([Failing()], shutdown_on_exit=False)
    with pytest.raises(RuntimeError, match=r"force_flush failed: Failing: ConnectionError\('no route'\)"):
        provider.force_flush()


def test_the_same_declaration_is_the_same_instrument() -> None:
    meter = MeterProvider(shutdown_on_exit=False).get_meter("m")
    assert meter.create_counter("C", "s", "d") is meter.create_counter("c", "s", "d")
    assert meter.create_counter("c", "s", "d") is not meter.create_counter("c", "ms", "d")


def test_streams_that_clash_are_said(caplog: pytest.LogCaptureFixture) -> None:
    meter = MeterProvider(shutdown_on_exit=False).get_meter("m")
    meter.create_counter("c", "s", "one").add(1)
    meter.create_counter("c", "s", "another").add(1)
    assert "both export 'c'" in caplog.text


def test_an_instrument_without_a_name_names_the_rule() -> None:
    with pytest.raises(DeclarationError) as raised:
        MeterProvider(shutdown_on_exit=False).get_meter("m").create_counter("http requests")
    assert str(raised.value) == (
        "'http requests' is not a valid instrument name; "
        "a name is a letter and then at most 254 letters, digits, '_', '.', '-' or '/'"
    )


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), -1, "one", None])
def test_what_is_invalid_is_counted_and_said_once(amount: Any, caplog: pytest.LogCaptureFixture) -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    counter = provider.get_meter("m").create_counter("c")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            counter.add(amount)
    assert sum(provider.dropped.values()) == 3
    assert len(caplog.records) == 1


def test_what_was_made_before_the_provider_records_to_it() -> None:
    code = """
from opentelemetry import metrics
counter = metrics.get_meter("early").create_counter("c")
counter.add(1)
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from otel_obs.sdk import MeterProvider
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
counter.add(2)
print(reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].value)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2.0\n"
