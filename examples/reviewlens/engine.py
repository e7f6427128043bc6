"""The dialogue: every turn retrieves, scores and answers, until there is evidence enough."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from llm import Models
from otel_obs.catalog import dialogue, pipeline
from retrieval import Library
from sessions import Session, Sessions

ENOUGH = 6
_TASK = "Answer the question from these sentences of customers' reviews, and from nothing else."


class UnknownCategoryError(LookupError):
    """There are no reviews of that."""


class Turn(NamedTuple):
    """What a turn came to."""

    answer: str
    provider: str
    evidence: list[str]
    is_complete: bool


class Engine:
    """Leads dialogues."""

    def __init__(self, library: Library, sessions: Sessions, models: Models) -> None:
        self._library, self._sessions, self._models = library, sessions, models

    def begin(self, category: str) -> Session:
        """Begin a dialogue about a category.

        Raises:
            UnknownCategoryError: There are no reviews of it.
        """
        if category not in self._library.categories:
            known = ", ".join(self._library.categories)
            raise UnknownCategoryError(f"there are no reviews of {category!r}; expected one of {known}")
        session = self._sessions.begin(category)
        dialogue.session(category, session.id)
        return session

    async def turn(self, session_id: str, question: str) -> Turn:
        """Answer a question; the dialogue is complete when it holds evidence enough.

        Raises:
            UnknownSessionError: There is no such dialogue.
            QuestionError: Nothing can be retrieved for the question.
            NoProviderError: No provider answers.
        """
        session = self._sessions.find(session_id)
        dialogue.turn(session.category)
        hits = self._library.retrieve(session.category, question)
        found = [e.review.text for e in self._library.score(session.category, question, hits)]
        held = list(dict.fromkeys([*session.evidence, *found]))
        pipeline.evidence(session.category, len(held), session.id)
        answer = await self._models.ask(
            [{"role": "system", "content": "\n".join([_TASK, *held])}, {"role": "user", "content": question}],
            first=zlib.crc32(question.encode()),  # spreads the load over the providers
        )
        is_complete = len(held) >= ENOUGH
        if is_complete:
            self._sessions.end(session.id)
            dialogue.completion(session.category, session.id)
        else:
            self._sessions.save(session._replace(questions=[*session.questions, question], evidence=held))
        return Turn(answer.text, answer.provider, held, is_complete)

    def leave(self, session_id: str) -> None:
        """End a dialogue that is not complete.

        Raises:
            UnknownSessionError: There is no such dialogue.
        """
        session = self._sessions.find(session_id)
        self._sessions.end(session.id)
        pipeline.end_session(session.id)
