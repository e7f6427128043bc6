"""Retrieval by BM25, and the scoring of what it finds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from corpus import Review, words_of
from otel_obs import Timer, track_errors
from otel_obs.catalog import pipeline, retrieval_duration_seconds

_K1 = 1.5
_B = 0.75
_FOUND = 20
_KEPT = 4
_ENOUGH = 0.35  # of the best score


class QuestionError(ValueError):
    """A question that nothing can be retrieved for."""


class Hit(NamedTuple):
    """A sentence that was retrieved, with its relevance."""

    review: Review
    relevance: float


class Evidence(NamedTuple):
    """A sentence that speaks to the question, the best with a score of 1."""

    review: Review
    score: float


class Index:
    """The sentences of one category by BM25.

    Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009.
    """

    def __init__(self, reviews: Iterable[Review]) -> None:
        self._reviews = list(reviews)
        self._counts = [Counter(words_of(review.text)) for review in self._reviews]
        lengths = [sum(counts.values()) for counts in self._counts]
        mean = sum(lengths) / len(lengths)
        self._norms = [_K1 * (1 - _B + _B * length / mean) for length in lengths]
        held_by = Counter(word for counts in self._counts for word in counts)
        total = len(self._reviews)
        self._weights = {
            word: math.log(1 + (total - held + 0.5) / (held + 0.5)) for word, held in held_by.items()
        }

    def weight(self, word: str) -> float:
        """How telling a word is: the rarer, the more; 0 where no sentence has it."""
        return self._weights.get(word, 0.0)

    def search(self, words: Iterable[str]) -> list[Hit]:
        """The most relevant sentences, the best first."""
        known = [word for word in set(words) if word in self._weights]
        hits = (
            Hit(review, sum(self._relevance(word, counts[word], norm) for word in known if word in counts))
            for review, counts, norm in zip(self._reviews, self._counts, self._norms, strict=True)
        )
        return sorted((hit for hit in hits if hit.relevance), key=lambda hit: -hit.relevance)[:_FOUND]

    def _relevance(self, word: str, count: int, norm: float) -> float:
        return self._weights[word] * count * (_K1 + 1) / (count + norm)


class Library:
    """The indexes of all categories."""

    def __init__(self, reviews: Iterable[Review]) -> None:
        by_category: dict[str, list[Review]] = {}
        for review in reviews:
            by_category.setdefault(review.category, []).append(review)
        self._indexes = {category: Index(found) for category, found in by_category.items()}

    @property
    def categories(self) -> list[str]:
        """What there are reviews of."""
        return sorted(self._indexes)

    @track_errors("retrieval_error", "retrieval")
    def retrieve(self, category: str, question: str) -> list[Hit]:
        """The sentences that may speak to a question.

        Raises:
            QuestionError: The question has no word to look for.
        """
        with Timer(retrieval_duration_seconds, {"category": category}):
            words = words_of(question)
            if not words:
                raise QuestionError(f"message {question!r} has no word to look for; ask about something")
            return self._indexes[category].search(words)

    @track_errors("scoring_error", "scoring")
    def score(self, category: str, question: str, hits: Iterable[Hit]) -> list[Evidence]:
        """What of the hits is evidence: those that say much of what is asked, and take a side."""
        with pipeline.scoring(category):
            index, asked = self._indexes[category], set(words_of(question))
            asked_weight = sum(map(index.weight, asked)) or 1.0
            scored = []
            for review, relevance in hits:
                said = sum(map(index.weight, asked.intersection(words_of(review.text))))
                scored.append((relevance * (said / asked_weight) * (1 + abs(review.sentiment) / 4), review))
            scored.sort(reverse=True)
            best = scored[0][0] if scored else 1.0
            return [
                Evidence(review, round(score / best, 3))
                for score, review in scored[:_KEPT]
                if score >= _ENOUGH * best
            ]
