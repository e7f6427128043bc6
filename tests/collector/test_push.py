"""Push without a collector: every worker its own instance, and nothing lost at an end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.collector.roads import WORKERS, shop, use
from tests.support.otlp import OtlpReceiver
from tests.support.ports import free_port
from tests.support.processes import Service, clean_env, tool
from tests.support.samples import parse_samples
from tests.support.waiting import until

PROTOCOLS = ("grpc", "http/protobuf")
NEVER = {"OTEL_METRIC_EXPORT_INTERVAL": "3600000"}
"""No push but the last one comes in the time of a test."""
PREDICTED = {"status": "success"}

JOB = """
import os, signal, sys, time
from otel_obs.catalog import predictions_total
predictions_total.add(3, {"status": "success"})
"""
ENDS = {
    "returns": "",
    "raises": "raise ValueError('this job fails')",
    "exits": "sys.exit(3)",
    "is terminated": "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
}
CODES = {"returns": 0, "raises": 1, "exits": 3, "is terminated": -signal.SIGTERM}
FORKING = """
import os
from otel_obs.catalog import predictions_total
from opentelemetry.metrics import get_meter_provider
predictions_total.add(1, {"status": "success"})
get_meter_provider().force_flush()
for _ in range(3):
    child = os.fork()
    if not child:
        predictions_total.add(1, {"status": "success"})
        raise SystemExit
    os.waitpid(child, 0)
"""
OBSERVING = """
from opentelemetry import metrics
meter = metrics.get_meter("job")
meter.create_observable_gauge("job.temperature", [lambda options: [metrics.Observation(21.5)]])
"""


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


def sending(receiver: OtlpReceiver, protocol: str) -> dict[str, str]:
    """The variables of a process that pushes only when it ends."""
    given = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=pod-1"}
    return {**given, **NEVER, **receiver.environment(protocol)}


def run(script: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a job under the wrapper."""
    return subprocess.run(
        [tool("opentelemetry-instrument"), sys.executable, "-c", script],
        env=clean_env(env),
        capture_output=True,
        text=True,
        timeout=240,
    )


def instances(receiver: OtlpReceiver) -> set[str]:
    """The instances that have pushed."""
    return {str(resource["service.instance.id"]) for resource in receiver.resources()}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("end", ENDS)
def test_a_job_pushes_however_it_ends(receiver: OtlpReceiver, end: str, protocol: str) -> None:
    done = run(JOB + ENDS[end], sending(receiver, protocol))
    assert done.returncode == CODES[end], done.stderr
    assert receiver.latest().value("predictions", **PREDICTED) == 3
    assert instances(receiver) == {"pod-1"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_children_push_for_themselves_also_when_their_parent_has_pushed(
    receiver: OtlpReceiver, protocol: str
) -> None:
    done = run(FORKING, sending(receiver, protocol))
    assert done.returncode == 0, done.stderr
    assert receiver.latest().value("predictions", **PREDICTED) == 4
    assert len(instances(receiver)) == 4


def test_a_job_that_only_observes_pushes_too(receiver: OtlpReceiver) -> None:
    run(OBSERVING, sending(receiver, "http/protobuf"))
    assert receiver.latest().value("job.temperature") == 21.5


def test_a_job_pushes_at_intervals(receiver: OtlpReceiver, tmp_path: Path) -> None:
    env = {**sending(receiver, "grpc"), "OTEL_METRIC_EXPORT_INTERVAL": "100"}
    script = JOB + "time.sleep(60)"
    command = (tool("opentelemetry-instrument"), sys.executable, "-c", script)
    with Service(*command, env=env, log_file=tmp_path / "log", ready_path=None):
        until(lambda: len(receiver.metric_requests) >= 3, "three pushes")


def test_delta_is_what_it_sends_where_that_is_preferred(receiver: OtlpReceiver) -> None:
    env = {
        **sending(receiver, "grpc"),
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
    }
    run(JOB, env)
    delta = 1
    (temporality,) = {
        metric.sum.aggregation_temporality
        for request in receiver.metric_requests
        for group in request.resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
        if metric.name == "predictions"
    }
    assert temporality == delta


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_gunicorn_pushes_every_worker_when_it_is_stopped(
    receiver: OtlpReceiver, tmp_path: Path, protocol: str
) -> None:
    with shop(tmp_path, sending(receiver, protocol)) as service:
        workers = service.wait_for_workers(WORKERS)
        use(service, 40)
        assert service.stop() == 0
    assert receiver.latest().value("predictions", **PREDICTED) == 40
    assert receiver.latest().total("http_requests", endpoint="/predict/<name>") == 40
    assert instances(receiver) <= {f"pod-1/{pid}" for pid in workers}


@pytest.mark.parametrize(("workers", "code"), [("2", 0), ("1", -signal.SIGTERM)])
def test_uvicorn_pushes_every_worker_when_it_is_stopped(
    receiver: OtlpReceiver, tmp_path: Path, workers: str, code: int
) -> None:
    (tmp_path / "api.py").write_text(
        "from fastapi import FastAPI\n"
        "from otel_obs.catalog import record_prediction\n"
        "app = FastAPI()\n"
        "@app.get('/health')\n"
        "def health() -> str: return 'ok'\n"
        "@app.get('/predict')\n"
        "def predict() -> None: record_prediction(success=True)\n"
    )
    command = (
        tool("opentelemetry-instrument"),
        tool("uvicorn"),
        "--workers",
        workers,
        "--port",
        "{port}",
        "api:app",
    )
    with Service(
        *command, cwd=tmp_path, env=sending(receiver, "http/protobuf"), log_file=tmp_path / "log"
    ) as service:
        for _ in range(20):
            assert service.get("/predict").status == 200
        assert service.stop() == code
    assert receiver.latest().value("predictions", **PREDICTED) == 20
    # The supervisor of several workers measures nothing, and pushes nothing.
    assert ("pod-1" in instances(receiver)) == (workers == "1")


@pytest.mark.parametrize(("endpoint", "protocol"), [("closed", "grpc"), ("silent", "http/protobuf")])
def test_an_endpoint_that_does_not_answer_holds_up_an_end_for_five_seconds(
    endpoint: str, protocol: str
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1] if endpoint == "silent" else free_port()
        env = {
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        }
        span = "\nfrom otel_obs.tracing import traced\ntraced('work')(print)()\nprint(time.monotonic())"
        done = run(JOB + span, env)
        ended_s = time.monotonic()
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    # Left to themselves, the exporters try for a minute and longer.
    assert ended_s - float(done.stdout.split()[-1]) < 5 + 15, "the end, on a machine that may be slow"


def test_an_exporter_that_is_not_installed_is_named(receiver: OtlpReceiver) -> None:
    env = {**sending(receiver, "grpc"), "OTEL_METRICS_EXPORTER": "prometheus,otlq"}
    done = run("", env)
    assert (
        "OTEL_METRICS_EXPORTER='otlq' names an exporter that is not installed; did you mean otlp?; "
        "metrics are not pushed there, all else goes on" in done.stderr
    )


WITHOUT_EXPORTERS = """
import sys
for name in ("metric_exporter", "trace_exporter"):
    sys.modules[f"opentelemetry.exporter.otlp.proto.grpc.{name}"] = None
import otel_obs
from flask import Flask
client = otel_obs.instrument(Flask("app")).test_client()
assert client.get("/nothing").status_code == 404
print(client.get("/metrics").text)
"""


def test_without_the_exporters_package_metrics_are_still_served() -> None:
    env = clean_env({"OTEL_METRICS_EXPORTER": "prometheus,otlp", "OTEL_TRACES_EXPORTER": "otlp"})
    done = subprocess.run([sys.executable, "-c", WITHOUT_EXPORTERS], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert parse_samples(done.stdout).total("http_requests_total", status_code="404") == 1
    advice = "names an exporter that is not installed; pip install 'otel-obs[otlp]'"
    assert done.stderr.splitlines() == [
        f"OTEL_METRICS_EXPORTER='otlp' {advice}; metrics are not pushed there, all else goes on",
        f"OTEL_TRACES_EXPORTER='otlp' {advice}; spans do not go there, all else goes on",
    ]
