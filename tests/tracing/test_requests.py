"""Under the wrapper: spans of requests, metrics of ours, and the trace in logs, exemplars and headers."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.otlp import OtlpReceiver, Span
from tests.support.processes import Service
from tests.support.waiting import until
from tests.tracing.conftest import SERVERS, service

SERVER, CLIENT, INTERNAL = 2, 3, 1
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
ROUTES = {"flask": "/items/<int:number>", "fastapi": "/items/{number}"}


def traceparent(flags: str = "01") -> tuple[str, str, dict[str, str]]:
    """A trace that begins elsewhere: its id, its span's, and the header."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return trace_id, span_id, {"traceparent": f"00-{trace_id}-{span_id}-{flags}"}


def spans_of(receiver: OtlpReceiver, trace_id: str, count: int) -> list[Span]:
    """The spans of a trace, once there are so many, in the order of their depth."""

    def found() -> list[Span]:
        return [span for span in receiver.spans() if span.trace_id == trace_id]

    until(lambda: len(found()) >= count, f"{count} spans")
    by_id = {span.span_id: span for span in found()}

    def depth(span: Span) -> int:
        return 1 + depth(by_id[span.parent_id]) if span.parent_id in by_id else 0

    return sorted(found(), key=depth)


def exemplars(served: Service, family: str, **labels: str) -> set[str]:
    """The traces that the exemplars of a family's series lead to."""
    parse: Any = text_string_to_metric_families  # untyped
    return {
        sample.exemplar.labels["trace_id"]
        for found in parse(served.get("/metrics", headers=OPENMETRICS).text)
        for sample in found.samples
        if found.name == family and sample.exemplar and labels.items() <= sample.labels.items()
    }


def wait_for_exemplar(served: Service, path: str, family: str, **labels: str) -> str:
    """Ask for *path* until the family's exemplar is of what was asked for; the trace."""

    def is_there() -> str:
        # Not every request leaves its trace, if another did just before.
        trace_id, _, headers = traceparent()
        served.get(path, headers=headers)
        return trace_id if trace_id in exemplars(served, family, **labels) else ""

    return until(is_there, f"an exemplar of {family}")


def framework_of(served: Service) -> str:
    """Which of the two it is."""
    return "flask" if any("gunicorn" in part for part in served.command) else "fastapi"


def test_a_request_is_a_span_within_the_trace_of_its_header(served: Service, receiver: OtlpReceiver) -> None:
    framework = framework_of(served)
    trace_id, parent_id, headers = traceparent()
    assert served.get("/items/7", headers=headers).status == 200

    request, work = spans_of(receiver, trace_id, 2)

    assert (request.service, request.name) == (framework, f"GET {ROUTES[framework]}")
    assert (request.kind, request.parent_id) == (SERVER, parent_id)
    assert (work.name, work.kind, work.parent_id) == ("work", INTERNAL, request.span_id)


def test_a_request_that_is_passed_on_is_one_trace_over_both_services(
    served: Service, receiver: OtlpReceiver
) -> None:
    framework = framework_of(served)
    other = "fastapi" if framework == "flask" else "flask"
    trace_id, _, headers = traceparent()
    served.get("/pass-on", headers=headers)

    first, client, second, _ = spans_of(receiver, trace_id, 4)

    assert (first.service, first.name, first.kind) == (framework, "GET /pass-on", SERVER)
    assert (client.service, client.kind, client.parent_id) == (framework, CLIENT, first.span_id)
    assert (second.service, second.kind, second.parent_id) == (other, SERVER, client.span_id)


def test_an_exemplar_of_a_bucket_leads_to_the_trace(served: Service) -> None:
    endpoint = ROUTES[framework_of(served)]
    assert wait_for_exemplar(served, "/items/7", "http_request_duration_seconds", endpoint=endpoint)


def test_a_request_that_fails_has_its_exemplar_too(served: Service, receiver: OtlpReceiver) -> None:
    wait_for_exemplar(served, "/fail", "http_request_duration_seconds", endpoint="/fail")
    trace_id = wait_for_exemplar(served, "/fail", "http_requests", endpoint="/fail", status_code="500")
    (request,) = spans_of(receiver, trace_id, 1)
    assert request.name == "GET /fail"


def test_a_request_that_is_not_sampled_is_counted_without_an_exemplar(
    served: Service, receiver: OtlpReceiver
) -> None:
    framework = framework_of(served)
    before = served.scrape().total("http_requests_total", endpoint=ROUTES[framework])
    trace_id, _, headers = traceparent("00")
    served.get("/items/7", headers=headers)

    assert served.scrape().total("http_requests_total", endpoint=ROUTES[framework]) == before + 1
    assert trace_id not in exemplars(served, "http_request_duration_seconds")
    assert trace_id not in {span.trace_id for span in receiver.spans()}


def test_log_records_name_trace_span_and_service(served: Service, receiver: OtlpReceiver) -> None:
    trace_id, _, headers = traceparent()
    served.get("/items/7", headers=headers)
    _, work = spans_of(receiver, trace_id, 2)
    line = f"LOG {trace_id} {work.span_id} {framework_of(served)} in work"
    until(lambda: line in served.log.splitlines(), "the line in the log")


def test_only_our_metrics_are_there(served: Service) -> None:
    """Neither those of OpenTelemetry's instrumentations nor those of FastAPI itself."""
    served.get("/pass-on")
    families = {name for name, _ in served.scrape()}
    assert {name for name in families if name.startswith(("http_", "fastapi"))} <= {
        "http_requests_total",
        "http_requests_in_progress",
        "http_request_duration_seconds_bucket",
        "http_request_duration_seconds_count",
        "http_request_duration_seconds_sum",
    }


def test_scrapes_are_not_traced(served: Service, receiver: OtlpReceiver) -> None:
    trace_id, _, headers = traceparent()
    served.get("/metrics", headers=headers)
    served.get("/items/7", headers=headers)
    assert {span.name for span in spans_of(receiver, trace_id, 2)} == {
        f"GET {ROUTES[framework_of(served)]}",
        "work",
    }


@pytest.mark.parametrize("framework", SERVERS)
def test_an_application_that_is_instrumented_in_code_is_traced_too(
    tmp_path: Path, receiver: OtlpReceiver, framework: str
) -> None:
    with service(tmp_path, framework, receiver, in_code=True) as served:
        trace_id, parent_id, headers = traceparent()
        served.get("/items/7", headers=headers)
        request, _ = spans_of(receiver, trace_id, 2)
        assert (request.name, request.parent_id) == (f"GET {ROUTES[framework]}", parent_id)
        wait_for_exemplar(served, "/items/7", "http_request_duration_seconds", endpoint=ROUTES[framework])


@pytest.mark.parametrize("framework", SERVERS)
def test_nothing_is_lost_when_a_service_is_stopped(
    tmp_path: Path, receiver: OtlpReceiver, framework: str
) -> None:
    env = {"OTEL_BSP_SCHEDULE_DELAY": "3600000"}
    with service(tmp_path, framework, receiver, env) as served:
        traces = []
        for _ in range(10):
            trace_id, _, headers = traceparent()
            served.get("/items/7", headers=headers)
            traces.append(trace_id)
        served.stop()
    assert {span.trace_id for span in receiver.spans()} >= set(traces)


def test_spans_and_metrics_of_a_worker_are_of_one_instance(tmp_path: Path) -> None:
    env = {
        "OTEL_METRICS_EXPORTER": "prometheus,otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "100",
        "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=pod-1",
    }
    with OtlpReceiver() as receiver, service(tmp_path, "flask", receiver, env) as served:
        expected = {f"pod-1/{pid}" for pid in served.wait_for_workers(2)}

        def both() -> bool:
            served.get("/items/7")
            spans = {str(span.resource["service.instance.id"]) for span in receiver.spans()}
            metrics = {str(resource["service.instance.id"]) for resource in receiver.resources()}
            # The first process is the name itself, and may push before it starts the workers.
            return spans == metrics - {"pod-1"} == expected

        until(both, "spans and metrics of both workers")


def test_missing_instrumentation_is_named_and_the_service_runs(
    tmp_path: Path, receiver: OtlpReceiver
) -> None:
    served = service(tmp_path, "flask", receiver)
    missing = "import sys\nsys.modules['opentelemetry.instrumentation.flask'] = None\n"
    (tmp_path / "web.py").write_text(missing + SERVERS["flask"][0])
    with served:
        assert served.get("/items/7").status == 200
        line = (
            "tracing needs opentelemetry-instrumentation-flask; install it with: "
            "pip install 'otel-obs[tracing]'; requests are not traced"
        )
        assert line in served.log.splitlines()
