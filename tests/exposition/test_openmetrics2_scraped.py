"""A Prometheus that knows OpenMetrics 2.0 stores the same series from it as from 1.0, also at a socket."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Service
from tests.support.programs import ROOT
from tests.support.prometheus import PrometheusServer, configured_server, prometheus_3
from tests.support.waiting import until

VERSION_1, VERSION_2 = "OpenMetricsText1.0.0", "OpenMetricsText2.0.0"
ODD = 'a"b\\c\nd ü {},=#\r'
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
MADE = ("orders", "open_orders", "wait", "cold", "size", "client", "below", "target_info")

APP = """
import sys, threading

import otel_obs
from flask import Flask
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from prometheus_client import Counter, Enum, Gauge, Histogram, Info, Summary

ODD, TRACE_ID = sys.argv[2:4]
otel_obs.configure(views=[View(instrument_name="size", aggregation=ExponentialBucketHistogramAggregation())])
meter = metrics.get_meter("shop")
meter.create_counter("orders", description=ODD).add(5, {"path": ODD})
meter.create_up_down_counter("open.orders").add(-2)
duration = meter.create_histogram("wait", "s", ODD, explicit_bucket_boundaries_advisory=(0.1, 1.0))
for seconds in (0.05, 0.5, 5.0):
    duration.record(seconds, {"path": ODD})
meter.create_histogram("cold", explicit_bucket_boundaries_advisory=(0.0, 1.0)).record(0.5)
for _ in range(100):
    meter.create_histogram("size", "By").record(20)
Counter("client", ODD, ["path"]).labels(ODD).inc(3, {"trace_id": TRACE_ID})
Histogram("client_wait", "h", buckets=(1, 2)).observe(1.5, {"trace_id": TRACE_ID})
Histogram("below", "h", buckets=(-1, 1)).observe(-2)
Summary("client_sum", "h").observe(2.5)
Enum("client_state", "h", states=["on", "off"])
Info("client_build", "h").info({"version": ODD})
Gauge("client_gauge", "h").set(float("nan"))
app = Flask("shop")
otel_obs.instrument(app)
print("serving", flush=True)
if sys.argv[1] == "0":
    threading.Event().wait()
app.run("127.0.0.1", int(sys.argv[1]))
"""


def service(port: str, log: Path, **env: str) -> Service:
    command = (sys.executable, "-c", APP, port, ODD, TRACE_ID)
    given = {"OTEL_OBS_OPENMETRICS2": "true", "OTEL_SERVICE_NAME": "shop", **env}
    return Service(
        *command, cwd=ROOT, env=given, log_file=log, ready_path="/metrics" if port != "0" else None
    )


def _is_known(server: PrometheusServer, name: str) -> bool:
    return server.target_health(name)[0] != "unknown"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """A server that scrapes one service in both versions, and another at its socket."""
    binary = prometheus_3()
    listed = subprocess.run([binary, "--help"], capture_output=True, text=True, timeout=60)
    if "openmetrics2" not in listed.stdout + listed.stderr:
        pytest.skip("this Prometheus reads no OpenMetrics 2.0; build 3.15 or later with: scripts/prometheus3")
    directory = tmp_path_factory.mktemp("prometheus")
    short = Path(tempfile.mkdtemp(prefix="sock", dir="/tmp"))  # a socket's path has 107 bytes
    path = short / "metrics.sock"
    try:
        with (
            service("{port}", directory / "shop.log") as shop,
            service("0", directory / "socket.log", OTEL_EXPORTER_PROMETHEUS_HOST=f"unix:{path}"),
        ):
            until(path.exists, "the socket", timeout_s=120.0)
            target = f"127.0.0.1:{shop.port}"
            jobs = [
                job("first", VERSION_1, target),
                job("second", VERSION_2, target),
                job("native", VERSION_2, target, scrape_native_histograms=True),
                job("socket", VERSION_2, "shop", {"__unix_socket__": str(path)}),
            ]
            config = {"global": {"scrape_interval": "500ms"}, "scrape_configs": jobs}
            features = "--enable-feature=exemplar-storage,openmetrics2"
            server = configured_server(binary, directory, config, features)
            with server:
                for one in jobs:
                    name = str(one["job_name"])
                    until(partial(_is_known, server, name), name, 120.0)
                    assert server.target_health(name) == ("up", "")
                until(lambda: len(server.query("orders_total")) == len(jobs), "samples of every job", 120.0)
                yield server
    finally:
        shutil.rmtree(short)


def job(
    name: str, version: str, target: str, labels: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "job_name": name,
        "scrape_protocols": [version],
        "static_configs": [{"targets": [target], "labels": labels or {}}],
        **more,
    }


def stored(prometheus: PrometheusServer, name: str) -> dict[frozenset[tuple[str, str]], str]:
    """The values of a job's series that the application has made; 1.0 has a time of creation as a series."""
    found = prometheus.api("query", query=f'{{job="{name}"}}')["result"]
    series = {}
    for one in found:
        labels = {key: value for key, value in one["metric"].items() if key not in ("job", "instance")}
        if labels["__name__"].startswith(MADE) and not labels["__name__"].endswith("_created"):
            series[frozenset(labels.items())] = one["value"][1]
    return series


@pytest.mark.prometheus
def test_the_series_of_both_versions_are_the_same(prometheus: PrometheusServer) -> None:
    first, second = stored(prometheus, "first"), stored(prometheus, "second")
    # Only 1.0 forbids the sum of what may be negative, and the count with it.
    names = {dict(key)["__name__"] for key in second.keys() - first.keys()}
    assert names == {"below_count", "below_sum"}
    assert {key: second.get(key) for key in first} == first
    assert {dict(key)["__name__"] for key in first} >= {
        "orders_total",
        "open_orders",
        "wait_seconds_bucket",
        "size_bytes_bucket",
        "client_total",
        "client_wait_bucket",
        "below_bucket",
        "client_sum_sum",
        "client_state",
        "client_build_info",
        "client_gauge",
        "target_info",
    }


@pytest.mark.prometheus
def test_hostile_labels_and_types_arrive(prometheus: PrometheusServer) -> None:
    (found,) = prometheus.query('orders_total{job="second"}')
    assert (found[0]["path"], found[1]) == (ODD, 5.0)
    kinds = prometheus.api("targets/metadata", match_target='{job="second"}')
    types = {one["metric"]: one["type"] for one in kinds}
    assert types["orders_total"] == "counter"
    assert types["wait_seconds"] == types["size_bytes"] == types["below"] == "histogram"
    assert types["client_state"] == "stateset"


@pytest.mark.prometheus
def test_native_buckets_arrive_in_a_text(prometheus: PrometheusServer) -> None:
    assert prometheus.value('histogram_count(size_bytes{job="native"})') == 100.0
    median = prometheus.value('histogram_quantile(0.5, size_bytes{job="native"})')
    assert median == pytest.approx(20, rel=0.05)
    assert prometheus.value('size_bytes_bucket{job="second",le="64.0"}') == 100.0


@pytest.mark.prometheus
def test_exemplars_arrive(prometheus: PrometheusServer) -> None:
    def traces(name: str) -> set[str]:
        now_s = time.time()
        start, end = str(now_s - 3600), str(now_s + 60)
        found = prometheus.api("query_exemplars", query=f'{name}{{job="second"}}', start=start, end=end)
        return {one["labels"]["trace_id"] for series in found for one in series["exemplars"]}

    for name in ("client_total", "client_wait_bucket"):
        until(partial(traces, name), f"exemplars of {name}", 120.0)
        assert traces(name) == {TRACE_ID}


@pytest.mark.prometheus
def test_a_unix_socket_is_scraped(prometheus: PrometheusServer) -> None:
    assert prometheus.target_health("socket") == ("up", "")
    assert stored(prometheus, "socket") == stored(prometheus, "second")
