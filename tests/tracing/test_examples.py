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
from tests.support.systems import OfflineLlm, gunicorn, uvicorn
from tests.support.waiting import until

pytestmark = needs_collector

SERVER, CLIENT = 2, 3
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
CREDENTIALS = "Basic " + base64.b64encode(f"{OTLP_USER}:{TOKEN}".encode()).decode()


class Pair(NamedTuple):
    """The detector, which has sparklio keep its descriptions, and where the spans of both end up."""

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
        model = stack.enter_context(OfflineLlm(directory / "model"))
        database = {"DATABASE_URL": f"sqlite:///{directory / 'sparklio.db'}"}
        sparklio = stack.enter_context(uvicorn("sparklio", directory / "back", {**tracing, **database}))
        others = {**model.urls, "NOTES_URL": sparklio.url}
        detector = stack.enter_context(gunicorn("detector", directory / "front", {**tracing, **others}))
        yield Pair(detector, receiver)


def exemplars(service: Service, sample: str) -> set[str]:
    """The traces that the exemplars of a sample lead to, with the endpoint of the request."""
    lines = service.get("/metrics", headers=OPENMETRICS).text.splitlines()
    marked = [line for line in lines if line.startswith(sample) and "# {" in line]
    return {line.partition('trace_id="')[2][:32] for line in marked}


def test_a_request_through_both_is_one_trace_and_a_bucket_leads_to_it(pair: Pair) -> None:
    answer = pair.detector.post("/cameras/yard/description", {})
    assert answer.status == 200, answer.text

    (trace_id,) = exemplars(pair.detector, "http_request_duration_seconds_bucket")
    until(lambda: len(pair.trace(trace_id)) == 4, "the four spans of the trace")

    request, *clients, kept = pair.trace(trace_id)
    assert (request.service, request.name, request.kind) == (
        "detector",
        "POST /cameras/<camera_id>/description",
        SERVER,
    )
    # One asks the language model, which makes no spans, the other sparklio.
    assert [(span.service, span.kind, span.parent_id) for span in clients] == [
        ("detector", CLIENT, request.span_id)
    ] * 2
    assert (kept.service, kept.name, kept.kind) == ("sparklio", "POST /topics/{topic}/notes", SERVER)
    assert kept.parent_id in {span.span_id for span in clients}


def test_the_duration_of_the_call_of_the_model_leads_to_the_same_trace(pair: Pair) -> None:
    durations = exemplars(pair.detector, "http_request_duration_seconds_bucket")
    assert exemplars(pair.detector, "llm_latency_seconds_bucket") == durations
