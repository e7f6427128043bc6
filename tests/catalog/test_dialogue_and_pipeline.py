from __future__ import annotations

import asyncio

import pytest

from otel_obs.catalog import dialogue, pipeline
from tests.catalog.conftest import Service


@pytest.fixture(autouse=True)
def _no_sessions_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_sessions", pipeline._SessionTable())


def test_a_dialogue_is_counted_step_by_step(service: Service) -> None:
    with dialogue.session("robot_cleaner", session_id="s1") as session:
        session.turn()
        session.turn()
        session.evidence(4)
        assert service.samples("active_evidence_gauge") == [
            'active_evidence_gauge{category="robot_cleaner",session_id="s1"} 4.0'
        ]
        session.completion()
    assert service.samples("dialogue") == [
        'dialogue_sessions_total{category="robot_cleaner"} 1.0',
        'dialogue_turns_total{category="robot_cleaner"} 2.0',
        'dialogue_completions_total{category="robot_cleaner"} 1.0',
    ]
    assert service.samples("active_evidence_gauge") == []


def test_a_dialogue_may_be_asynchronous(service: Service) -> None:
    async def talk() -> None:
        async with dialogue.session("toys", session_id="s1") as session:
            session.evidence(4)
            assert len(service.samples("active_evidence_gauge")) == 1

    asyncio.run(talk())
    assert service.samples("active_evidence_gauge") == []


def test_a_dialogue_may_run_over_many_requests(service: Service) -> None:
    dialogue.session("toys")
    dialogue.turn("toys")
    pipeline.evidence("toys", 2, session_id="s1")
    dialogue.completion("toys", session_id="s1")
    assert service.samples("dialogue") == [
        'dialogue_sessions_total{category="toys"} 1.0',
        'dialogue_turns_total{category="toys"} 1.0',
        'dialogue_completions_total{category="toys"} 1.0',
    ]
    assert service.samples("active_evidence_gauge") == []


def test_retrieval_and_scoring_are_timed(service: Service) -> None:
    with pipeline.retrieval("toys"), pipeline.scoring("toys"):
        pass
    assert [line for line in service.samples() if "_count" in line] == [
        'scoring_duration_seconds_count{category="toys"} 1.0',
        'retrieval_duration_seconds_count{category="toys"} 1.0',
    ]


def test_evidence_without_a_session_is_only_counted(service: Service) -> None:
    pipeline.evidence("toys", 3)
    pipeline.evidence("toys", 0)
    assert service.samples() == [
        'evidence_count_count{category="toys"} 2.0',
        'evidence_count_sum{category="toys"} 3.0',
    ]


def test_a_session_ends_in_every_category(service: Service) -> None:
    pipeline.evidence("toys", 3, "s1")
    pipeline.evidence("books", 3, "s1")
    pipeline.evidence("toys", 5, "s2")
    pipeline.end_session("s1")
    pipeline.end_session("never began")
    assert service.samples("active") == ['active_evidence_gauge{category="toys",session_id="s2"} 5.0']


def test_sessions_that_are_idle_or_too_many_end(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    pipeline.evidence("toys", 1, "idle")
    now_s = pipeline.MAX_IDLE_S
    pipeline.evidence("toys", 1, "later")
    assert len(service.samples("active")) == 2
    now_s += 1
    pipeline.evidence("toys", 1, "later")
    assert service.samples("active") == ['active_evidence_gauge{category="toys",session_id="later"} 1.0']
    monkeypatch.setattr(pipeline, "MAX_SESSIONS", 2)
    for name in ("a", "b", "c"):
        pipeline.evidence("toys", 1, name)
    assert service.samples("active") == [
        'active_evidence_gauge{category="toys",session_id="b"} 1.0',
        'active_evidence_gauge{category="toys",session_id="c"} 1.0',
    ]
