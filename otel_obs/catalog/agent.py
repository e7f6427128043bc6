"""Agents that execute."""

from __future__ import annotations

from otel_obs.catalog.kit.boundary import safely
from otel_obs.catalog.kit.kinds import CounterMetric, HistogramMetric
from otel_obs.catalog.kit.naming import ANY
from otel_obs.catalog.kit.timed_run import ERROR, SUCCESS, TimedRun

__all__ = ["agent_duration_seconds", "agent_executions_total", "record_agent_execution"]

agent_executions_total = CounterMetric(
    "agent_executions_total",
    "Total agent executions",
    unit="{execution}",
    attributes={"agent": ANY, "status": (SUCCESS, ERROR)},
)
agent_duration_seconds = HistogramMetric(
    "agent_duration_seconds",
    "Agent execution duration in seconds",
    unit="s",
    attributes={"agent": ANY},
    bounds=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 120),
)


@safely(agent_executions_total)
def record_agent_execution(agent: str, status: str = SUCCESS, duration: float | None = None) -> None:
    """Count an execution.

    Args:
        agent: Which agent.
        status: `success` or `error`.
        duration: Seconds that it took.
    """
    agent_executions_total.add(1, {"agent": agent, "status": status})
    if duration is not None:
        agent_duration_seconds.record(duration, {"agent": agent})


class run(TimedRun):
    """Count and time one execution of an agent, in a `with` or an `async with`.

    Args:
        agent: Which agent.
    """

    __slots__ = ("_agent",)

    def __init__(self, agent: str) -> None:
        super().__init__()
        self._agent = agent

    def _end(self) -> None:
        record_agent_execution(self._agent, self.status, self.elapsed_s)
