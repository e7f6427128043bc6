"""In which order a scrape shows the labels of the catalog's metrics."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

import otel_obs
from otel_obs.assembly.pipeline import Pipeline
from otel_obs.catalog import (
    active_evidence_gauge,
    errors_total,
    llm_calls_total,
    llm_time_to_first_token_seconds,
    metrics,
)
from otel_obs.catalog.kit.label_order import DeclaredOrder
from otel_obs.catalog.kit.metric import SCOPE, uninstall
from otel_obs.cells.layout import Kind, Scope, Stream

pytestmark = pytest.mark.usefixtures("service_of_its_own")


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    made = otel_obs.configure(label_order="declared")
    assert made is not None
    yield made
    otel_obs.shutdown()
    uninstall()


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_labels_stand_as_the_row_declares_them(pipeline: Pipeline, accept: str) -> None:
    llm_calls_total.add(1, {"status": "success", "provider": accept})
    active_evidence_gauge.set(2, {"session_id": "a", "category": "toys"})
    lines = pipeline.metrics(accept)[0].decode().splitlines()
    assert f'llm_calls_total{{provider="{accept}",status="success"}} 1.0' in lines
    assert 'active_evidence_gauge{category="toys",session_id="a"} 2.0' in lines


def test_labels_of_http_stand_as_the_row_declares_them(pipeline: Pipeline) -> None:
    from otel_obs.catalog import http_request_duration_seconds, http_requests_total

    http_requests_total.labels(status_code="200", endpoint="/health", method="GET").inc(5)
    http_request_duration_seconds.labels(endpoint="/health", method="GET").observe(0.02)
    lines = pipeline.metrics()[0].decode().splitlines()
    assert 'http_requests_total{method="GET",endpoint="/health",status_code="200"} 5.0' in lines
    assert 'http_request_duration_seconds_bucket{method="GET",endpoint="/health",le="0.01"} 0.0' in lines


def test_dotted_labels_stand_as_the_row_declares_them() -> None:
    pipeline = otel_obs.configure(
        label_order="declared", profile="semconv", translation="NoUTF8EscapingWithSuffixes"
    )
    assert pipeline is not None
    try:
        llm_time_to_first_token_seconds.record(
            0.02, {"provider": "openai", "operation": "chat", "model": "a"}
        )
        lines = pipeline.metrics("text/plain; version=1.0.0; escaping=allow-utf-8")[0].decode().splitlines()
    finally:
        otel_obs.shutdown()
        uninstall()
    labels = '"gen_ai.provider.name"="openai","gen_ai.request.model"="a","gen_ai.operation.name"="chat"'
    assert f'{{"gen_ai.client.operation.time_to_first_chunk_seconds_count",{labels}}} 1.0' in lines


def test_by_default_labels_stand_by_name() -> None:
    pipeline = otel_obs.configure()
    assert pipeline is not None
    try:
        errors_total.add(1, {"error_type": "timeout", "component": "retrieval"})
        lines = pipeline.metrics()[0].decode().splitlines()
    finally:
        otel_obs.shutdown()
        uninstall()
    assert 'errors_total{component="retrieval",error_type="timeout"} 1.0' in lines


def test_labels_of_an_applications_own_instruments_stand_by_name(pipeline: Pipeline) -> None:
    meter = pipeline.provider.get_meter("shop")
    meter.create_counter("sold").add(1, {"what": "tea", "by": "ann"})
    assert 'sold_total{by="ann",what="tea"} 1.0' in pipeline.metrics()[0].decode().splitlines()


def test_every_row_has_its_own_order() -> None:
    order = DeclaredOrder()
    for _, metric in metrics():
        named = metric.named
        assert order(Stream(named.kind, named.name, named.unit, scope=Scope(SCOPE))) == named.declared
    assert order(Stream(Kind.COUNTER, "no_such_row", scope=Scope(SCOPE))) == ()
    assert order(Stream(Kind.COUNTER, "llm_calls", scope=Scope("shop"))) == ()


def test_a_group_that_only_another_worker_has_used_is_known() -> None:
    program = """
import sys
from otel_obs.catalog.kit.label_order import DeclaredOrder
from otel_obs.cells.layout import Kind, Scope, Stream
order = DeclaredOrder()
assert "otel_obs.catalog.dialogue" not in sys.modules
assert order(Stream(Kind.COUNTER, "errors", scope=Scope("otel_obs"))) == ("error_type", "component")
print(order(Stream(Kind.GAUGE, "active_evidence_gauge", scope=Scope("otel_obs"))))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "('category', 'session_id')\n"
