"""Retrieval, scoring, and the evidence that they find."""

from __future__ import annotations

import time
from _thread import RLock
from collections import OrderedDict

from otel_obs.catalog.kit.boundary import safely
from otel_obs.catalog.kit.kinds import GaugeMetric, HistogramMetric
from otel_obs.catalog.kit.naming import ANY
from otel_obs.host import forks
from otel_obs.sdk.timing import Timer

__all__ = [
    "active_evidence_gauge",
    "evidence_count",
    "retrieval_duration_seconds",
    "scoring_duration_seconds",
]

_CATEGORY = {"category": ANY}

retrieval_duration_seconds = HistogramMetric(
    "retrieval_duration_seconds",
    "Retrieval duration in seconds",
    unit="s",
    attributes=_CATEGORY,
    bounds=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2),
)
scoring_duration_seconds = HistogramMetric(
    "scoring_duration_seconds",
    "Scoring duration in seconds",
    unit="s",
    attributes=_CATEGORY,
    bounds=(0.01, 0.05, 0.1, 0.25, 0.5, 1),
)
evidence_count = HistogramMetric(
    "evidence_count",
    "Pieces of evidence found",
    unit="{piece}",
    attributes=_CATEGORY,
    bounds=(0, 1, 2, 3, 5, 10, 20, 50),
)
active_evidence_gauge = GaugeMetric(
    "active_evidence_gauge",
    "Pieces of evidence that a session holds",
    unit="{piece}",
    attributes={"category": ANY, "session_id": ANY},
)

MAX_SESSIONS = 1000
MAX_IDLE_S = 3600.0


def retrieval(category: str) -> Timer:
    """Time a retrieval, in a `with` or an `async with`."""
    return Timer(retrieval_duration_seconds, {"category": category})


def scoring(category: str) -> Timer:
    """Time a scoring, in a `with` or an `async with`."""
    return Timer(scoring_duration_seconds, {"category": category})


class _SessionTable:
    """The sessions that have a series in this worker, the longest idle one first.

    Another worker may end a session, or its client may leave without an end. Such a session ends here after
    `MAX_IDLE_S` seconds without use, or when there are more than `MAX_SESSIONS`.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._lock = RLock()

    def touch(self, session_id: str, category: str, now_s: float) -> None:
        """Note that a session is alive, and end sessions that are idle or too many."""
        ended: list[tuple[tuple[str, str], float]] = []
        with self._lock:
            self._seen[session_id, category] = now_s
            self._seen.move_to_end((session_id, category))
            while self._seen:
                oldest, at_s = next(iter(self._seen.items()))
                if len(self._seen) <= MAX_SESSIONS and now_s - at_s <= MAX_IDLE_S:
                    break
                ended.append((oldest, at_s))
                del self._seen[oldest]
        for (ended_id, its_category), at_s in ended:
            # Another worker may have set the series after *at_s*: then it stays.
            active_evidence_gauge.remove({"category": its_category, "session_id": ended_id}, until_s=at_s)

    def end(self, session_id: str) -> None:
        """Remove every series of a session, in all workers that recorded to it."""
        with self._lock:
            for key in [key for key in self._seen if key[0] == session_id]:
                del self._seen[key]
        active_evidence_gauge.remove_matching({"session_id": session_id})


_sessions = _SessionTable()


def _after_fork_in_child() -> None:
    global _sessions
    _sessions = _SessionTable()  # the parent removes its own series; the lock may have been held at the fork


forks.after_in_child(_after_fork_in_child)


@safely(evidence_count)
def evidence(category: str, count: int, session_id: str = "") -> None:
    """Record how much evidence was found.

    Args:
        category: The topic that it is about.
        count: Pieces of evidence.
        session_id: The session that now holds them, if there is one.
    """
    evidence_count.record(count, {"category": category})
    if session_id:
        active_evidence_gauge.set(count, {"category": category, "session_id": session_id})
        _sessions.touch(session_id, category, time.monotonic())


@safely(active_evidence_gauge)
def end_session(session_id: str) -> None:
    """Remove the series of a session that has ended."""
    _sessions.end(session_id)
