"""A request through two of the examples is one trace, on the road to the cloud."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.support.cloud import TOKEN
from tests.support.collector import OTLP_USER, Collector, needs_collector, variables
from tests.support.otlp import OtlpReceiver, Span
from tests.support.processes import Service
from tests.support.systems import gunicorn, uvicorn
from tests.support.waiting import until

pytestmark = needs_collector

SERVER, CLIENT = 2, 3
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
CREDENTIALS = "Basic " + base64.b64encode(f"{OTLP_USER}:{TOKEN}".encode()).decode()


class Pair(NamedTuple):
    """The detector, which asks the other example for a description, and where their spans end up."""

    detector: Service
    receiver: OtlpReceiver

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace, the outermost first."""
        found = [span for span in self.receiver.spans() if span.trace_id == trace_id]
        return sorted(found, key=lambda span: (span.parent_id != "", span.kind != CLIENT))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("examples")
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(OtlpReceiver(authorize=lambda header: header == CREDENTIALS))
        env = variables(otlp_url=f"http://127.0.0.1:{receiver.http_port}/otlp")
        options = ("--set=exporters.otlp_http/cloud.sending_queue.batch.flush_timeout=50ms",)
        collector = stack.enter_context(Collector(directory, env, options=options))
        tracing = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_SCHEDULE_DELAY": "50", **collector.otlp("grpc")}
        database = {"REVIEWLENS_DB": str(directory / "sessions.db")}
        reviewlens = stack.enter_context(uvicorn("reviewlens", directory / "back", {**tracing, **database}))
        provider = {"GEMINI_URL": f"{reviewlens.url}/gemini/v1"}
        detector = stack.enter_context(gunicorn("detector", directory / "front", {**tracing, **provider}))
        yield Pair(detector, receiver)


def exemplars(service: Service, sample: str) -> set[str]:
    """The traces that the exemplars of a sample lead to, with the endpoint of the request."""
    lines = service.get("/metrics", headers=OPENMETRICS).text.splitlines()
    marked = [line for line in lines if line.startswith(sample) and "# {" in line]
    return {line.partition('trace_id="')[2][:32] for line in marked}


def test_a_request_through_both_is_one_trace_and_a_bucket_leads_to_it(pair: Pair) -> None:
    """The other example is no language model and answers 404; the trace tells who did."""
    answer = pair.detector.post("/cameras/yard/description", {})
    assert answer.status == 503

    (trace_id,) = exemplars(pair.detector, "http_request_duration_seconds_bucket")
    until(lambda: len(pair.trace(trace_id)) == 3, "the three spans of the trace")

    request, client, asked = pair.trace(trace_id)
    assert (request.service, request.name, request.kind) == (
        "detector",
        "POST /cameras/<camera_id>/description",
        SERVER,
    )
    assert (client.service, client.kind, client.parent_id) == ("detector", CLIENT, request.span_id)
    assert (asked.service, asked.kind, asked.parent_id) == ("reviewlens", SERVER, client.span_id)


def test_the_duration_of_the_call_of_the_model_leads_to_the_same_trace(pair: Pair) -> None:
    durations = exemplars(pair.detector, "http_request_duration_seconds_bucket")
    assert exemplars(pair.detector, "llm_latency_seconds_bucket") == durations
