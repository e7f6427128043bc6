"""Prometheus itself reads what is written: promtool checks a text, and a server scrapes every format."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import pytest

from otel_obs.cells.attributes import canonical
from otel_obs.cells.layout import Kind
from otel_obs.cells.snapshot import Exemplar, ExponentialValue, Snapshot
from otel_obs.exposition import OPENMETRICS, PROTOBUF, TEXT, Format, Options, negotiate, render
from tests.exposition.build import (
    SPAN_ID,
    TRACE_ID,
    column,
    counter,
    exponential,
    gauge,
    histogram,
    rendered,
    snapshot,
)
from tests.support.prometheus import BINARY, PrometheusServer, prometheus_3
from tests.support.waiting import until

PROMTOOL = shutil.which("promtool")
OPTIONS = Options(canonical({"service.name": "shop", "host.cpus": 4}))
UTF8_OPTIONS = Options(OPTIONS.resource, translation="NoUTF8EscapingWithSuffixes")
FORCED: dict[str, Format] = {
    "text": TEXT,
    "openmetrics": OPENMETRICS,
    "protobuf": PROTOBUF,
    "text-utf8": Format("text", "1.0.0", "allow-utf-8"),
    "openmetrics-utf8": Format("openmetrics", "1.0.0", "allow-utf-8"),
    "protobuf-utf8": Format("protobuf", "", "allow-utf-8"),
}
JOBS = ["text", "openmetrics", "protobuf", "metrics"]
UTF8_JOBS = ["text-utf8", "openmetrics-utf8", "protobuf-utf8"]
ODD = 'a"b\\c\nd ü {},='


def everything(now_s: float) -> Snapshot:
    """A stream of every kind."""
    seen = Exemplar(1, 0.07, now_s, TRACE_ID, SPAN_ID, canonical({"user": "u"}))
    return snapshot(
        counter("http_requests", [({"path": ODD}, 1234567.0), ({"path": "/"}, 5.0)], description=ODD),
        counter("sent", [({}, 3.0)], unit="By", description="Sent"),
        column(Kind.UPDOWN, "jobs_in_progress", [({}, -2.0)], description="Running"),
        gauge("cache.size", [({}, 7.0)], unit="By", description="Cached"),
        gauge("temperature", [({"a.b": "1", "a_b": True}, 21.5)], unit="Cel", description="Now"),
        histogram(
            "http_request_duration",
            (0.05, 0.1, 1),
            [({"path": "/"}, [50.0, 49.0, 1.0, 0.0, 7.5])],
            unit="s",
            description="Duration",
            exemplars={0: [seen]},
        ),
        exponential(
            "response_size",
            [({}, ExponentialValue(0, 0, 1000.0, 3, [0, 100], 0, []))],  # all in (16, 32]
            unit="By",
            description="Size",
        ),
    )


def promtool(text: bytes) -> tuple[int, str]:
    """The exit code (1: cannot be read; 3: bad style) and the complaints of `promtool check metrics`."""
    command = [PROMTOOL or "promtool", "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, timeout=240)
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
@pytest.mark.parametrize("scope_labels", ["off", "on"])
def test_promtool_finds_nothing(scope_labels: Any) -> None:
    options = Options(OPTIONS.resource, resource_labels=("host.*",), scope_labels=scope_labels)
    assert promtool(b"".join(render(everything(1.0), options=options))) == (0, "")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_reads_every_character_and_number() -> None:
    values = [({"at": chr(at), chr(at): "x"}, at / 7) for at in range(0x180)]
    odd = [({"at": name}, float(name)) for name in ("nan", "inf", "-inf", "1e308", "5e-324")]
    text = rendered(gauge("g", [*values, *odd], description="".join(map(chr, range(1, 0x180)))))
    assert promtool(text) == (0, "")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_reads_any_names_labels_and_help() -> None:
    random = Random(1)

    def odd() -> str:
        return "".join(random.choices('a_.:%"\\\n\r\t {}#,=\0ü\ud8001', k=random.randrange(9)))

    columns = [
        gauge(f"g{at}{odd()}", [({odd(): odd() for _ in range(4)}, 1.0)], unit=odd(), description=odd())
        for at in range(3000)
    ]
    code, complaints = promtool(rendered(columns))
    assert code in (0, 3), complaints[:1000]


@contextmanager
def served() -> Iterator[int]:
    """A server that answers on a path for each format, and on `/metrics` in the one that is asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            format = FORCED.get(self.path[1:]) or negotiate(self.headers["Accept"])
            options = OPTIONS if format.escaping == "underscores" else UTF8_OPTIONS
            self.send_response(200)
            self.send_header("Content-Type", format.content_type)
            self.end_headers()
            for chunk in render(everything(time.time()), format, options):
                self.wfile.write(chunk)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module", params=["Debian's", "3"])
def prometheus(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusServer]:
    """A server that scrapes every job; 2.42 switches native histograms on for all, 3 for each job."""
    is_new = request.param == "3"
    binary = prometheus_3() if is_new else BINARY or "prometheus"
    names = [*JOBS, *UTF8_JOBS] if is_new else JOBS
    directory = tmp_path_factory.mktemp("prometheus")
    with served() as port:
        jobs = [
            {
                "job_name": name,
                "metrics_path": f"/{name}",
                "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
                **({"scrape_native_histograms": True} if is_new else {}),
            }
            for name in names
        ]
        config = {"global": {"scrape_interval": "300ms"}, "scrape_configs": jobs}
        (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        server = PrometheusServer(
            binary,
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:{port}",
            f"--enable-feature=exemplar-storage{'' if is_new else ',native-histograms'}",
            cwd=directory,
            log_file=directory / "log",
            ready_path="/-/ready",
        )
        with server:
            until(lambda: len(server.query("up == 1")) == len(jobs), "jobs that are up")
            until(lambda: len(server.query("sent_bytes_total")) == len(jobs), "samples of every job")
            yield server


@pytest.mark.prometheus
@pytest.mark.parametrize("job", JOBS)
def test_a_server_reads_every_format(prometheus: PrometheusServer, job: str) -> None:
    assert prometheus.target_health(job) == ("up", "")
    labels = {"job": job, "instance": prometheus.query("up")[0][0]["instance"]}

    def found(name: str) -> list[tuple[dict[str, str], float]]:
        labels["__name__"] = name
        series = prometheus.query(f'{name}{{job="{job}"}}')
        return sorted(((dict(have.items() - labels.items()), number) for have, number in series), key=_own)

    assert found("http_requests_total") == [
        ({"path": "/"}, 5.0),
        ({"path": ODD}, 1234567.0),
    ]
    assert found("temperature_celsius") == [({"a_b": "1;true"}, 21.5)]
    assert found("jobs_in_progress") == [({}, -2.0)]
    assert found("target_info") == [({"host_cpus": "4", "service_name": "shop"}, 1.0)]
    buckets = found("http_request_duration_seconds_bucket")
    assert {float(have["le"]): number for have, number in buckets} == {
        0.05: 50.0,
        0.1: 99.0,
        1.0: 100.0,
        float("inf"): 100.0,
    }
    assert [number for _, number in found("http_request_duration_seconds_count")] == [100.0]
    assert [number for _, number in found("http_request_duration_seconds_sum")] == [7.5]


def _own(series: tuple[dict[str, str], float]) -> list[tuple[str, str]]:
    return sorted(series[0].items())


@pytest.mark.prometheus
def test_an_exponential_histogram_is_native_in_protobuf_only(prometheus: PrometheusServer) -> None:
    native = prometheus.value('histogram_quantile(0.5, response_size_bytes{job="protobuf"})')
    assert native == pytest.approx(24, abs=3)
    assert prometheus.value('histogram_count(response_size_bytes{job="metrics"})') == 100.0
    classic = prometheus.value('histogram_quantile(0.5, response_size_bytes_bucket{job="openmetrics"})')
    assert classic == pytest.approx(40)  # the middle of (16, 64]


@pytest.mark.prometheus
@pytest.mark.parametrize("job", ["openmetrics", "protobuf"])
def test_exemplars_are_found_by_their_trace(prometheus: PrometheusServer, job: str) -> None:
    def exemplars() -> list[dict[str, object]]:
        now_s = time.time()
        found = prometheus.api(
            "query_exemplars",
            query=f'http_request_duration_seconds_bucket{{job="{job}"}}',
            start=str(now_s - 60),
            end=str(now_s + 60),
        )
        return [one["labels"] for series in found for one in series["exemplars"]]

    assert until(exemplars, "exemplars")[0] == {"trace_id": TRACE_ID, "span_id": SPAN_ID, "user": "u"}


@pytest.mark.prometheus
def test_a_server_that_knows_native_histograms_is_given_protobuf(prometheus: PrometheusServer) -> None:
    assert prometheus.query('response_size_bytes_bucket{job="metrics"}') == []


@pytest.mark.prometheus
@pytest.mark.parametrize("job", UTF8_JOBS)
def test_utf8_names_are_kept(prometheus: PrometheusServer, job: str) -> None:
    if not prometheus.query(f'up{{job="{job}"}}'):
        pytest.skip("Prometheus 2 knows no UTF-8 names")
    assert prometheus.value(f'target_info{{job="{job}","service.name"="shop","host.cpus"="4"}}') == 1.0
    assert prometheus.value(f'temperature_celsius{{job="{job}","a.b"="1",a_b="true"}}') == 21.5
    assert prometheus.value(f'{{"cache.size_bytes", job="{job}"}}') == 7.0
