"""`PrometheusReader` stands where OpenTelemetry's stock reader stands."""

from __future__ import annotations

import re
from typing import Any

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest

from otel_obs import PrometheusReader
from otel_obs.sdk import MeterProvider
from tests.support.programs import run

RESOURCE = Resource({"service.name": "shop", "zone": "a"})


def page(reader_class: Any, provider_class: Any, **options: Any) -> str:
    registry = CollectorRegistry()
    reader = reader_class(registry=registry, **options)
    provider = provider_class([reader], RESOURCE, shutdown_on_exit=False)
    meter = provider.get_meter("m", "1")
    meter.create_counter("sold", "{item}", "Items sold").add(2, {"kind": "book"})
    meter.create_histogram("took", "s", explicit_bucket_boundaries_advisory=[1, 5]).record(2)
    meter.create_observable_gauge("open", [lambda _: [sdk_observation(3)]])
    text = generate_latest(registry).decode()
    provider.shutdown()
    assert generate_latest(registry) == b""
    return re.sub(r"(?m)^(# (HELP|TYPE) )?\w+_created.*\n", "", text)


def sdk_observation(value: float) -> Any:
    from opentelemetry.metrics import Observation

    return Observation(value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"prefix": "my"},
        {"disable_target_info": True, "scope_info_enabled": False},
        {"resource_attribute_filter": lambda key: key == "zone"},
    ],
)
def test_on_the_sdk_it_is_the_stock_reader_and_says_so(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    given = dict(options)
    assert page(PrometheusReader, sdk.MeterProvider, **given) == page(
        PrometheusMetricReader, sdk.MeterProvider, **given
    )
    said = [record.getMessage() for record in caplog.records if record.name == "otel_obs"]
    assert said == [
        (
            "PrometheusReader is on a MeterProvider of opentelemetry.sdk: it shows what this process has "
            "recorded, and no other worker; for all workers, use "
            "otel_obs.configure(readers=[PrometheusReader()]) and the "
            "meters of opentelemetry.metrics.get_meter()"
        )
    ]


def test_on_a_provider_of_ours_it_shows_what_that_has(caplog: pytest.LogCaptureFixture) -> None:
    assert page(
        PrometheusReader,
        MeterProvider,
        prefix="my",
        scope_info_enabled=True,
        resource_attribute_filter=lambda key: key == "zone",
    ).splitlines() == [
        "# HELP target_info Target metadata",
        "# TYPE target_info gauge",
        'target_info{service_name="shop",zone="a"} 1.0',
        "# HELP my_sold_total Items sold",
        "# TYPE my_sold_total counter",
        'my_sold_total{kind="book",otel_scope_name="m",otel_scope_version="1",zone="a"} 2.0',
        "# HELP my_took_seconds ",
        "# TYPE my_took_seconds histogram",
        'my_took_seconds_bucket{le="1.0",otel_scope_name="m",otel_scope_version="1",zone="a"} 0.0',
        'my_took_seconds_bucket{le="5.0",otel_scope_name="m",otel_scope_version="1",zone="a"} 1.0',
        'my_took_seconds_bucket{le="+Inf",otel_scope_name="m",otel_scope_version="1",zone="a"} 1.0',
        'my_took_seconds_count{otel_scope_name="m",otel_scope_version="1",zone="a"} 1.0',
        'my_took_seconds_sum{otel_scope_name="m",otel_scope_version="1",zone="a"} 2.0',
        "# HELP my_open ",
        "# TYPE my_open gauge",
        'my_open{otel_scope_name="m",otel_scope_version="1",zone="a"} 3.0',
    ]
    assert "target_info" not in page(PrometheusReader, MeterProvider, disable_target_info=True)
    assert caplog.text == ""


PROGRAM = """
import json, os, sys
from opentelemetry import metrics
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
import otel_obs
own = CollectorRegistry()
Reader = otel_obs.PrometheusReader
otel_obs.configure(readers=[Reader(registry=own), Reader(prefix="vain")])
sold = metrics.get_meter("shop").create_counter("sold")
readings, writings = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        sold.add(5)
        os.write(writings, b"x")
        os.read(0, 1)
        os._exit(0)
for _ in range(3):
    os.read(readings, 1)
sold.add(1)
for text in generate_latest(own), generate_latest(REGISTRY), otel_obs.get_metrics()[0]:
    lines = text.decode().splitlines()
    print(json.dumps([line for line in lines if "sold_total" in line and line[0] != "#"]))
otel_obs.shutdown()
print(json.dumps(generate_latest(own).decode()))
"""


def test_it_is_merged_over_workers_and_stands_once_on_every_page() -> None:
    done = run(PROGRAM, timeout_s=240)
    assert done.results == [["sold_total 16.0"]] * 3 + [""]
    assert (
        "PrometheusReader got prefix: without effect in prometheus_client's default registry, which has "
        "these families by the settings of otel_obs; give it a registry of its own, or use "
        "OTEL_OBS_NAMESPACE, OTEL_OBS_SCOPE_LABELS and OTEL_OBS_RESOURCE_LABELS" in done.log
    )


def test_the_stock_exporter_is_imported_by_who_asks_for_it_only() -> None:
    done = run(
        """
import json, sys
import otel_obs
otel_obs.configure()
names = "opentelemetry.exporter.prometheus", "prometheus_client"
print(json.dumps([name in sys.modules for name in names]))
""",
        timeout_s=240,
    )
    assert done.results == [[False, False]]
