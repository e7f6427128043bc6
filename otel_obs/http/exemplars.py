"""Which requests leave their trace with what is recorded: not all, so that tracing makes no record dearer."""

from __future__ import annotations

from collections.abc import Hashable
from math import frexp
from time import perf_counter
from typing import Any

from opentelemetry.context import Context

PERIOD_S = 0.1
"""A request leaves its trace unless another, of the same outcome and about as long, did so this long ago."""
UNTRACED = Context()
"""The context of a request whose span is not sampled: recording in it takes the shortest way."""
_MOST_KEYS = 10_000


class Pace:
    """Chooses the context that a traced request is recorded in."""

    def __init__(self) -> None:
        self._due_s: dict[Hashable, float] = {}

    def context(self, span: Any, outcome: Hashable, elapsed_s: float) -> Any:
        """The context of the request's span where its trace is wanted, or one without a span.

        Args:
            span: The context of the request's span, or `UNTRACED`.
            outcome: What makes it another series.
            elapsed_s: How long it took; requests within a factor of two are about as long.
        """
        if not span:
            return UNTRACED
        key = outcome, frexp(elapsed_s)[1]
        now_s = perf_counter()
        if now_s < self._due_s.get(key, 0.0):
            return UNTRACED
        if len(self._due_s) > _MOST_KEYS:
            self._due_s.clear()
        self._due_s[key] = now_s + PERIOD_S
        return span
