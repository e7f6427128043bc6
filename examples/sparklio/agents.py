"""Agents: each does one part of a workflow with a language model."""

from __future__ import annotations

from collections.abc import Sequence

from llm import Model, ask
from monitoring.prometheus_metrics import agent_execution_counter, agent_latency


class NothingToWorkOnError(LookupError):
    """An agent was given nothing."""


class Agent:
    """Follows its instruction on what it is given.

    Attributes:
        name: What it is counted by.
        instruction: What it tells the model.
    """

    def __init__(self, name: str, instruction: str, model: Model) -> None:
        self.name, self.instruction, self._model = name, instruction, model

    def run(self, texts: Sequence[str]) -> str:
        """What the agent makes of *texts*.

        Raises:
            NothingToWorkOnError: There are none.
        """
        status = "error"
        try:
            with agent_latency.labels(agent=self.name).time():
                if not texts:
                    raise NothingToWorkOnError(f"the {self.name} was given nothing; add notes first")
                result = ask(self._model, self.instruction, "\n".join(texts))
            status = "success"
            return result
        finally:
            agent_execution_counter.labels(agent=self.name, status=status).inc()


def make_agents(model: Model) -> dict[str, Agent]:
    """The agents that there are, by name."""
    instructions = {
        "researcher": "Find what matters in these notes.",
        "writer": "Write a brief from this.",
        "editor": "Shorten this to what a reader must know.",
    }
    return {name: Agent(name, instruction, model) for name, instruction in instructions.items()}
