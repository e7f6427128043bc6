"""The dialogue about reviews under uvicorn with two workers, and three providers over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.processes import Service
from tests.support.samples import Samples
from tests.support.systems import PROVIDERS, OfflineLlm, label_names, uvicorn, when
from tests.support.waiting import until
from tests.support.web import request

QUESTIONS = (
    "How long does the battery last?",
    "How good is the picture, and how good is the sound?",
    "Is it easy to use, and worth the money?",
)
DIALOGUES = {"camera": 6, "phone": 4, "mp3_player": 3}
PRICES = {"gemini": (0.10, 0.40), "openai": (0.15, 0.60), "claude": (0.80, 4.00)}


class Dialogue:
    """A dialogue on one connection, so that one worker leads it."""

    def __init__(self, service: Service, category: str) -> None:
        self._client = httpx.Client(base_url=service.url, trust_env=False, timeout=20)
        self.id: str = self._client.post("/sessions", json={"category": category}).json()["session_id"]

    def ask(self, question: str, status: int = 200) -> Any:
        answer = self._client.post(f"/sessions/{self.id}/turns", json={"message": question})
        assert answer.status_code == status, answer.text
        return answer.json()

    def leave(self) -> None:
        assert self._client.delete(f"/sessions/{self.id}").status_code == 204

    def lead(self) -> int:
        """Ask until the dialogue is complete; the number of turns."""
        for turns, question in enumerate(QUESTIONS, 1):
            if self.ask(question)["is_complete"]:
                return turns
        raise AssertionError("the dialogue is not complete")

    def __enter__(self) -> Dialogue:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()


def provider_of_an_answer(service: Service) -> str:
    """Ask what goes to gemini first, in a dialogue of its own; who answered it."""
    with Dialogue(service, "camera") as dialogue:
        provider: str = dialogue.ask(QUESTIONS[2])["provider"]
        dialogue.leave()
    return provider


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfflineLlm]:
    with OfflineLlm(tmp_path_factory.mktemp("providers") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def service(providers: OfflineLlm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("reviewlens")
    env = {**providers.urls, "REVIEWLENS_DB": str(directory / "sessions.db")}
    with uvicorn("reviewlens", directory / "log", env) as running:
        yield running


@pytest.fixture(scope="module")
def turns(service: Service) -> dict[str, int]:
    """What it took to complete the dialogues, by category."""
    taken = dict.fromkeys(DIALOGUES, 0)
    for category, times in DIALOGUES.items():
        for _ in range(times):
            with Dialogue(service, category) as dialogue:
                taken[category] += dialogue.lead()
    return taken


@pytest.fixture(scope="module")
def samples(service: Service, turns: dict[str, int]) -> Samples:
    """Every metric after all of these dialogues, a question of no words, and one dialogue that goes on."""
    with Dialogue(service, "camera") as dialogue:
        dialogue.ask("???", status=422)
        dialogue.leave()
    return when(service, "http_requests_total", sum(turns.values()) + sum(DIALOGUES.values()) + 3)


def test_the_metrics_have_the_names_and_labels_of_the_dashboards(samples: Samples) -> None:
    shown = {
        family: names
        for family, names in label_names(samples).items()
        if not family.startswith(("python_", "process_", "system_", "otel_obs_", "target_info"))
    }
    for threads in "limit", "used", "waiting":
        shown.pop(f"worker_thread_tokens_{threads}")
    shown.pop("event_loop_lag_seconds", None)  # after half a second

    assert shown == {
        "http_requests_total": {"method", "endpoint", "status_code"},
        "http_request_duration_seconds": {"method", "endpoint"},
        "http_requests_in_progress": {"method"},
        "dialogue_sessions_total": {"category"},
        "dialogue_turns_total": {"category"},
        "dialogue_completions_total": {"category"},
        "llm_calls_total": {"provider", "status"},
        "llm_duration_seconds": {"provider"},
        "llm_tokens_total": {"provider", "type"},
        "llm_time_to_first_token_seconds": {"provider"},
        "llm_cost_usd_total": {"provider"},
        "retrieval_duration_seconds": {"category"},
        "scoring_duration_seconds": {"category"},
        "evidence_count": {"category"},
        "errors_total": {"error_type", "component"},
    }


@pytest.mark.parametrize(
    ("histogram", "labels", "bounds"),
    [
        (
            "http_request_duration_seconds",
            {"method": "POST", "endpoint": "/sessions"},
            ["0.01", "0.05", "0.1", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf"],
        ),
        (
            "llm_duration_seconds",
            {"provider": "openai"},
            ["0.5", "1.0", "2.0", "5.0", "10.0", "20.0", "30.0", "+Inf"],
        ),
        (
            "retrieval_duration_seconds",
            {"category": "camera"},
            ["0.01", "0.05", "0.1", "0.25", "0.5", "1.0", "2.0", "+Inf"],
        ),
        (
            "scoring_duration_seconds",
            {"category": "camera"},
            ["0.01", "0.05", "0.1", "0.25", "0.5", "1.0", "+Inf"],
        ),
        (
            "evidence_count",
            {"category": "camera"},
            ["0.0", "1.0", "2.0", "3.0", "5.0", "10.0", "20.0", "50.0", "+Inf"],
        ),
    ],
)
def test_histograms_have_the_buckets_of_the_dashboards(
    samples: Samples, histogram: str, labels: dict[str, str], bounds: list[str]
) -> None:
    assert samples.bounds(histogram, **labels) == bounds


def test_every_request_is_counted_once_by_its_template(samples: Samples, turns: dict[str, int]) -> None:
    counted = {
        (labels["method"], labels["endpoint"], labels["status_code"]): samples.value(
            "http_requests_total", **labels
        )
        for labels in samples.labels("http_requests_total")
    }

    assert counted == {
        ("POST", "/sessions", "201"): sum(DIALOGUES.values()) + 1,
        ("POST", "/sessions/{session_id}/turns", "200"): sum(turns.values()),
        ("POST", "/sessions/{session_id}/turns", "422"): 1,
        ("DELETE", "/sessions/{session_id}", "204"): 1,
    }


def test_dialogues_turns_and_completions_are_counted_by_category(
    samples: Samples, turns: dict[str, int]
) -> None:
    for category, times in DIALOGUES.items():
        left = 1 if category == "camera" else 0
        assert samples.value("dialogue_sessions_total", category=category) == times + left
        assert samples.value("dialogue_turns_total", category=category) == turns[category] + left
        assert samples.value("dialogue_completions_total", category=category) == times


def test_each_turn_retrieves_scores_and_finds(samples: Samples, turns: dict[str, int]) -> None:
    assert samples.total("retrieval_duration_seconds_count") == sum(turns.values()) + 1
    assert samples.total("scoring_duration_seconds_count") == sum(turns.values())
    assert samples.total("evidence_count_count") == sum(turns.values())
    assert samples.total("evidence_count_sum") >= sum(turns.values())


def test_a_question_that_cannot_be_looked_for_is_an_error_of_the_retrieval(samples: Samples) -> None:
    assert samples.value("errors_total", error_type="retrieval_error", component="retrieval") == 1


def test_calls_tokens_and_cost_of_the_providers_agree(samples: Samples, turns: dict[str, int]) -> None:
    assert samples.total("llm_calls_total", status="success") == sum(turns.values())
    assert samples.total("llm_time_to_first_token_seconds_count") == sum(turns.values())
    for labels in samples.labels("llm_cost_usd_total"):
        provider = labels["provider"]
        prompt, completion = (
            samples.value("llm_tokens_total", provider=provider, type=kind)
            for kind in ("prompt", "completion")
        )
        cost = (prompt * PRICES[provider][0] + completion * PRICES[provider][1]) / 1e6
        assert samples.value("llm_cost_usd_total", provider=provider) == pytest.approx(cost)
        assert prompt > completion > 0


def test_a_session_has_a_series_of_its_own_until_it_ends(service: Service) -> None:
    with Dialogue(service, "dvd_player") as left, Dialogue(service, "dvd_player") as completed:
        held = {each.id: len(each.ask(QUESTIONS[0])["evidence"]) for each in (left, completed)}
        shown = service.scrape()
        assert {
            session: shown.value("active_evidence_gauge", category="dvd_player", session_id=session)
            for session in held
        } == held

        left.leave()
        completed.ask(QUESTIONS[1])
        completed.ask(QUESTIONS[2])

    assert service.scrape().labels("active_evidence_gauge") == []
    assert {
        family for family, names in label_names(shown).items() if "session_id" in names
    } == {"active_evidence_gauge"}  # fmt: skip


def test_a_dialogue_that_several_workers_have_led_leaves_no_series(service: Service) -> None:
    """Each request is a connection of its own, so any worker may have a turn, or end the dialogue."""
    sessions = []
    for _ in range(12):
        session = service.post("/sessions", {"category": "phone"}).json()["session_id"]
        for _ in range(4):
            answer = service.post(f"/sessions/{session}/turns", {"message": "Is the battery good?"})
            assert answer.status == 200
        sessions.append(session)
    shown = {labels["session_id"] for labels in service.scrape().labels("active_evidence_gauge")}
    for session in sessions:
        assert request(f"{service.url}/sessions/{session}", method="DELETE").status == 204

    assert shown == set(sessions)
    assert service.scrape().labels("active_evidence_gauge") == []


def test_what_is_retrieved_speaks_to_the_question(service: Service) -> None:
    with Dialogue(service, "phone") as dialogue:
        answer = dialogue.ask("How long does the battery last?")
        dialogue.leave()

    assert answer["evidence"]
    assert all("battery" in sentence for sentence in answer["evidence"])


def test_the_next_provider_stands_in_for_one_that_fails(service: Service, providers: OfflineLlm) -> None:
    before = service.scrape()
    providers.fail("gemini")
    providers.fail("openai")
    try:
        answers = [provider_of_an_answer(service) for _ in range(3)]
    finally:
        providers.fail("gemini", every=0)
        providers.fail("openai", every=0)
    after = service.scrape()

    def more(name: str, **labels: str) -> float:
        return after.total(name, **labels) - before.total(name, **labels)

    assert answers == ["claude"] * 3
    assert more("llm_calls_total", provider="gemini", status="error") == 3
    assert more("llm_calls_total", provider="openai", status="error") == 3
    assert more("llm_calls_total", provider="claude", status="fallback") == 3
    assert more("llm_calls_total") == more("llm_duration_seconds_count") == 9
    assert more("errors_total", error_type="HTTPStatusError") == 6


def test_without_any_provider_the_turn_is_refused_and_each_failure_counted(
    service: Service, providers: OfflineLlm
) -> None:
    before = service.scrape()
    for provider in PROVIDERS:
        providers.fail(provider)
    try:
        with Dialogue(service, "camera") as dialogue:
            answer = dialogue.ask(QUESTIONS[0], status=503)
            dialogue.leave()
    finally:
        for provider in PROVIDERS:
            providers.fail(provider, every=0)
    after = service.scrape()

    assert answer == {"error": "no provider answers; try again later"}
    for provider in PROVIDERS:
        component = f"llm.{provider}"
        assert (
            after.total("errors_total", component=component)
            == before.total("errors_total", component=component) + 1
        )


def test_its_middleware_logs_one_line_a_request(service: Service) -> None:
    def lines() -> list[str]:
        return re.findall(r"reviewlens GET /health 200 \d+\.\d+s", service.log)

    before = len(lines())
    for _ in range(3):
        assert service.get("/health").status == 200

    until(lambda: len(lines()) == before + 3, "three lines")


def test_nothing_is_lost_when_a_worker_is_killed(service: Service, samples: Samples) -> None:
    before = service.scrape()
    worker = max(service.workers())
    service.kill(worker)

    def led() -> bool:
        with Dialogue(service, "phone") as dialogue:
            return dialogue.lead() > 0

    until(led, "a dialogue after the end of a worker")
    after = service.scrape()

    for name in ("dialogue_completions_total", "llm_calls_total", "retrieval_duration_seconds_count"):
        assert after.total(name) > before.total(name) > 0
