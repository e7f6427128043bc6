"""Several of the SDK's readers and exporters at once, to real receivers: the same arrives as from the SDK."""

from __future__ import annotations

import io
import json
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc
from opentelemetry.exporter.otlp.proto.http import metric_exporter as http
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

from otel_obs.sdk import MeterProvider
from tests.support.otlp import OtlpReceiver

DELTA: dict[type, AggregationTemporality] = dict.fromkeys(
    (sdk.Counter, sdk.Histogram, sdk.ObservableCounter), AggregationTemporality.DELTA
)
RARELY_MS = 1e6
TIMES = ("timeUnixNano", "startTimeUnixNano", "time_unix_nano", "start_time_unix_nano")


def sent(provider_class: Any) -> tuple[list[Any], list[Any]]:
    """What two flushes and the shutdown send over OTLP, cumulative and delta, and print to the console."""
    console = io.StringIO()
    with OtlpReceiver() as receiver:
        over_grpc = grpc.OTLPMetricExporter(f"http://127.0.0.1:{receiver.grpc_port}", insecure=True)
        over_http = http.OTLPMetricExporter(
            f"http://127.0.0.1:{receiver.http_port}/v1/metrics", preferred_temporality=DELTA
        )
        exporters = (over_grpc, over_http, ConsoleMetricExporter(console))
        provider = provider_class(
            [PeriodicExportingMetricReader(exporter, RARELY_MS) for exporter in exporters],
            resource=Resource({"service.name": "shop"}, "https://example.org/resource"),
            exemplar_filter=sdk.AlwaysOnExemplarFilter(),
            shutdown_on_exit=False,
            views=[View(instrument_name="size", aggregation=ExponentialBucketHistogramAggregation())],
        )
        meter = provider.get_meter("lib", "1.0", "https://example.org/schema", {"team": "x"})
        counter = meter.create_counter("orders", "{order}", "Orders")
        counter.add(1.5, {"kind": "a", "sizes": [1, 2], "new": True, "share": 0.5})
        meter.create_up_down_counter("open").add(-2)
        meter.create_histogram("took", "s").record(3, {"kind": "a"})
        meter.create_histogram("size", "By").record(3.25)
        meter.create_gauge("level").set(4)
        meter.create_observable_counter("reads", [seen(5)])
        meter.create_observable_gauge("heat", [seen(5.5)])
        assert provider.force_flush() is True
        counter.add(2, {"kind": "a"})
        assert provider.force_flush() is True
        assert provider.shutdown() is None
        requests = [plain(MessageToDict(request)) for request in receiver.metric_requests]
    decoder, text, printed = json.JSONDecoder(), console.getvalue(), []
    while text:
        value, end = decoder.raw_decode(text)
        printed.append(plain(value))
        text = text[end:].lstrip()
    return requests, printed


def seen(value: float) -> Any:
    """A callback."""

    def callback(_: CallbackOptions) -> list[Observation]:
        return [Observation(value, {"kind": "a"})]

    return callback


def plain(value: Any) -> Any:
    """Without times and order, and with every number a float."""
    if isinstance(value, dict):
        return {
            "asDouble" if key == "asInt" else key: float(each) if key == "asInt" else plain(each)
            for key, each in value.items()
            if key not in TIMES
        }
    if isinstance(value, list):
        return sorted((plain(each) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def test_what_arrives_over_otlp_and_at_the_console_is_what_the_sdk_sends() -> None:
    requests, printed = sent(MeterProvider)
    assert len(requests) == 6
    assert len(printed) == 3
    assert (requests, printed) == sent(sdk.MeterProvider)
