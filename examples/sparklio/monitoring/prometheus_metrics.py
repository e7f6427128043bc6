"""The metrics of sparklio, under the names that its code knows them by.

Each is a metric of otel_obs: `.labels(…).inc()` and `.observe()` count over all workers. Requests are counted
without code; who counts them with `request_counter` as well, counts them twice.
"""

from __future__ import annotations

from fastapi import Response

from otel_obs import get_metrics
from otel_obs.catalog import (
    agent_duration_seconds,
    agent_executions_total,
    context_size_bytes,
    http_request_duration_seconds,
    http_requests_total,
    llm_duration_seconds,
    llm_tokens_total,
    workflow_duration_seconds,
    workflows_active,
    workflows_total,
)

__all__ = [
    "active_workflows",
    "agent_execution_counter",
    "agent_latency",
    "context_size_bytes",
    "llm_latency",
    "llm_tokens_used",
    "metrics_endpoint",
    "request_counter",
    "request_latency",
    "workflow_counter",
    "workflow_latency",
]

request_counter = http_requests_total
request_latency = http_request_duration_seconds
agent_execution_counter = agent_executions_total
agent_latency = agent_duration_seconds
llm_tokens_used = llm_tokens_total
llm_latency = llm_duration_seconds
workflow_counter = workflows_total
workflow_latency = workflow_duration_seconds
active_workflows = workflows_active


def metrics_endpoint() -> Response:
    """Every metric of every worker, for a route of the application's own."""
    body, media_type = get_metrics()
    return Response(body, media_type=media_type)
