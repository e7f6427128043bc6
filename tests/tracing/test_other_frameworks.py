"""Frameworks that are traced under the wrapper: spans by their instrumentations, exemplars by ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_obs.errors import MissingPackageError
from otel_obs.frameworks.known import FRAMEWORKS, Tracer
from otel_obs.tracing import trace_requests
from tests.support.otlp import OtlpReceiver
from tests.support.processes import Service, tool
from tests.tracing.test_requests import SERVER, spans_of, traceparent, wait_for_exemplar

ROOT = Path(__file__).parents[2]
APPLICATIONS = {
    "falcon": (("-w", "1", "tests.apps.frameworks:falcon_wsgi_app"), "/items/{number:int}"),
    "aiohttp": (
        ("-k", "aiohttp.GunicornWebWorker", "tests.apps.frameworks:make_aiohttp"),
        "/items/{number}",
    ),
}


@pytest.mark.parametrize("framework", APPLICATIONS)
def test_a_request_is_a_span(framework: str, receiver: OtlpReceiver, tmp_path: Path) -> None:
    options, route = APPLICATIONS[framework]
    with Service(
        *(tool("opentelemetry-instrument"), tool("gunicorn"), "-b", "127.0.0.1:{port}", *options),
        cwd=ROOT,
        env={
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            **receiver.environment("grpc"),
        },
        log_file=tmp_path / "log",
        ready_path="/items/0",
    ) as service:
        trace_id, parent_id, headers = traceparent()
        assert service.get("/items/7", headers=headers).status == 200
        (span,) = spans_of(receiver, trace_id, 1)
        assert (span.kind, span.parent_id) == (SERVER, parent_id)
        families = {labels["endpoint"] for labels in service.scrape().labels("http_requests_total")}
        assert families == {route}
        if framework == "aiohttp":
            return  # its instrumentation calls nobody with the span, which is over when we record
        assert wait_for_exemplar(service, "/items/7", "http_request_duration_seconds", endpoint=route)


@pytest.mark.parametrize(
    ("extra", "remedy"), [("", "opentelemetry-instrumentation-absent"), ("tracing", "'otel-obs[tracing]'")]
)
def test_what_is_missing_is_named_with_its_remedy(extra: str, remedy: str) -> None:
    tracer = Tracer("opentelemetry.instrumentation.absent:Absent", "absent", extra=extra)
    with pytest.raises(MissingPackageError) as raised:
        trace_requests(tracer)
    needs = "tracing needs opentelemetry-instrumentation-absent"
    assert str(raised.value) == f"{needs}; install it with: pip install {remedy}"


def test_only_what_the_extra_brings_is_missed_aloud() -> None:
    loud = {each.name for each in FRAMEWORKS if each.tracer is not None and each.tracer.extra}
    assert loud == {"flask", "fastapi"}
