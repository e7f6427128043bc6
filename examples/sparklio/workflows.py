"""Workflows: agents one after the other, from notes in the database to a brief in the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from agents import Agent
from database import Database
from monitoring.prometheus_metrics import active_workflows, workflow_counter, workflow_latency

STEPS: Mapping[str, tuple[str, ...]] = {
    "brief": ("researcher", "writer"),
    "digest": ("researcher", "writer", "editor"),
}


class UnknownWorkflowError(LookupError):
    """There is no such workflow."""


class Workflows:
    """Runs workflows."""

    def __init__(self, agents: Mapping[str, Agent], database: Database) -> None:
        self._agents, self._database = agents, database

    def run(self, name: str, topic: str, title: str) -> int:
        """Write a brief about a topic; its number.

        Raises:
            UnknownWorkflowError: There is no such workflow.
            NothingToWorkOnError: There are no notes about the topic.
            TitleTakenError: There is a brief of that title.
        """
        if name not in STEPS:
            raise UnknownWorkflowError(f"there is no workflow {name!r}; expected one of {', '.join(STEPS)}")
        with measured(name):
            texts = list(self._database.find_notes(topic))
            for step in STEPS[name]:
                texts = [self._agents[step].run(texts)]
            return self._database.add_brief(title, texts[0])


@contextmanager
def measured(workflow: str) -> Iterator[None]:
    """Count a workflow, as active while it runs and by its status when it ends."""
    status = "error"
    active_workflows.inc()
    try:
        with workflow_latency.labels(workflow=workflow).time():
            yield
        status = "success"
    finally:
        active_workflows.dec()
        workflow_counter.labels(workflow=workflow, status=status).inc()
