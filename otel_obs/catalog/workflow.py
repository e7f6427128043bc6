"""Workflows of several steps."""

from __future__ import annotations

from otel_obs.catalog.kit.boundary import safely
from otel_obs.catalog.kit.kinds import CounterMetric, HistogramMetric, UpDownCounterMetric
from otel_obs.catalog.kit.naming import ANY
from otel_obs.catalog.kit.timed_run import ERROR, SUCCESS, TimedRun

__all__ = ["record_workflow", "workflow_duration_seconds", "workflows_active", "workflows_total"]

workflows_total = CounterMetric(
    "workflows_total",
    "Total workflows",
    unit="{workflow}",
    attributes={"workflow": ANY, "status": (SUCCESS, ERROR)},
)
workflows_active = UpDownCounterMetric("workflows_active", "Workflows in progress", unit="{workflow}")
workflow_duration_seconds = HistogramMetric(
    "workflow_duration_seconds",
    "Workflow duration in seconds",
    unit="s",
    attributes={"workflow": ANY},
    bounds=(0.5, 1, 5, 10, 30, 60, 120, 300, 600),
)


@safely(workflows_total)
def record_workflow(workflow: str, status: str = SUCCESS, duration: float | None = None) -> None:
    """Count a workflow that has ended.

    Args:
        workflow: Which workflow.
        status: `success` or `error`.
        duration: Seconds that it took.
    """
    workflows_total.add(1, {"workflow": workflow, "status": status})
    if duration is not None:
        workflow_duration_seconds.record(duration, {"workflow": workflow})


class run(TimedRun):
    """Count and time one run of a workflow, in a `with` or an `async with`.

    Args:
        workflow: Which workflow.
    """

    __slots__ = ("_workflow",)

    def __init__(self, workflow: str) -> None:
        super().__init__()
        self._workflow = workflow

    def _begin(self) -> None:
        workflows_active.add(1)

    def _end(self) -> None:
        workflows_active.add(-1)
        record_workflow(self._workflow, self.status, self.elapsed_s)
