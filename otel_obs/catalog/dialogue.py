"""Dialogues of several turns; a dialogue may run over many requests."""

from __future__ import annotations

from types import TracebackType

from otel_obs.catalog import pipeline
from otel_obs.catalog.kit.boundary import safely
from otel_obs.catalog.kit.kinds import CounterMetric
from otel_obs.catalog.kit.naming import ANY
from otel_obs.sdk.context_managers import AlsoAsync

__all__ = ["dialogue_completions_total", "dialogue_sessions_total", "dialogue_turns_total"]

_CATEGORY = {"category": ANY}

dialogue_sessions_total = CounterMetric(
    "dialogue_sessions_total", "Total dialogue sessions", unit="{session}", attributes=_CATEGORY
)
dialogue_turns_total = CounterMetric(
    "dialogue_turns_total", "Total dialogue turns", unit="{turn}", attributes=_CATEGORY
)
dialogue_completions_total = CounterMetric(
    "dialogue_completions_total", "Total completed dialogues", unit="{session}", attributes=_CATEGORY
)


class Session(AlsoAsync):
    """A dialogue that has begun. A `with` or `async with` block removes the series of its id at the end.

    Attributes:
        category: Its topic.
        session_id: Its id, which is a label of `active_evidence_gauge` only; "" where it has none.
    """

    __slots__ = ("category", "session_id")

    def __init__(self, category: str, session_id: str = "") -> None:
        self.category, self.session_id = category, session_id

    def turn(self) -> None:
        """Count a turn."""
        turn(self.category)

    def evidence(self, count: int) -> None:
        """Show how many pieces of evidence the dialogue holds."""
        pipeline.evidence(self.category, count, self.session_id)

    def completion(self) -> None:
        """Count the dialogue as completed, and end it."""
        completion(self.category, self.session_id)

    def end(self) -> None:
        """End the dialogue, completed or not."""
        if self.session_id:
            pipeline.end_session(self.session_id)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()


def session(category: str, session_id: str = "") -> Session:
    """Count a dialogue that begins now."""
    _count(category)
    return Session(category, session_id)


@safely(dialogue_sessions_total)
def _count(category: str) -> None:
    dialogue_sessions_total.add(1, {"category": category})


@safely(dialogue_turns_total)
def turn(category: str) -> None:
    """Count a turn of a dialogue."""
    dialogue_turns_total.add(1, {"category": category})


@safely(dialogue_completions_total)
def completion(category: str, session_id: str = "") -> None:
    """Count a dialogue as completed, and remove the series of its id if it has one."""
    dialogue_completions_total.add(1, {"category": category})
    if session_id:
        pipeline.end_session(session_id)
