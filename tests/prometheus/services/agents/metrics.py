# mypy: ignore-errors
"""Prometheus metrics of the agent platform, in a registry of their own."""

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Summary
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

registry = CollectorRegistry(target_info={"service": "agents"})

agent_executions_total = Counter(
    "agent_executions_total", "Executions", ["agent", "status"], registry=registry
)
agent_duration_seconds = Histogram("agent_duration_seconds", "Duration", ["agent"], registry=registry)
workflows_active = Gauge("workflows_active", "Workflows", registry=registry, multiprocess_mode="livesum")
workflow_errors_total = Counter("workflow_errors_total", "Errors", registry=registry)
context_size_bytes = Summary("context_size_bytes", "Context size", unit="bytes", registry=registry)
platform_state = Enum("platform_state", "State", states=["starting", "ready", "draining"], registry=registry)
queue_length = Gauge("queue_length", "Queued steps", registry=registry, multiprocess_mode="max")

queue = ["step"] * 3
queue_length.set_function(lambda: len(queue))


class DatabaseCollector:
    """Reads numbers elsewhere when it is asked."""

    def collect(self):
        yield GaugeMetricFamily("db_connections", "Connections", value=5)
        queries = CounterMetricFamily("db_queries", "Queries", labels=["operation"])
        queries.add_metric(["select"], 42)
        yield queries


registry.register(DatabaseCollector())
