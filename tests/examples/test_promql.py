"""Every expression of the teams' dashboards and alerts, asked of a real Prometheus while the systems run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.examples.expressions import BY_LABEL, ONE_VALUE
from tests.support.classifier import image
from tests.support.processes import Service
from tests.support.prometheus import PrometheusServer, prometheus_server
from tests.support.systems import OfflineLlm, gunicorn, uvicorn
from tests.support.waiting import until

pytestmark = pytest.mark.prometheus


class Systems(NamedTuple):
    """The four systems, and who scrapes them."""

    classifier: Service
    reviewlens: Service
    sparklio: Service
    detector: Service
    llm: OfflineLlm
    prometheus: PrometheusServer

    @property
    def totals(self) -> dict[str, str]:
        """What counts the requests of each system."""
        return {
            "classifier": "http_requests_total",
            "reviewlens": "http_requests_total",
            "sparklio": "sparklio_http_requests_total",
            "detector": "flask_http_request_total",
        }


QUESTIONS = (  # each asks another provider first
    "Is it a good buy?",
    "How good is the picture, and how good is the sound?",
    "How long does the battery last?",
)
_titles = count()


def classify(service: Service) -> None:
    for number in (*range(12), *range(6)):
        assert service.post("/predict", {"image": image(number)}).status == 200
    assert service.post("/predict", {"image": [[1]]}).status == 400
    assert service.get("/health").status == 200


def discuss(service: Service, llm: OfflineLlm) -> None:
    """Dialogues in which now and then a provider fails, and one without a word to look for."""
    llm.fail("gemini", every=2)
    for category in "camera", "phone", "camera", "mp3_player", "dvd_player", "phone":
        session = service.post("/sessions", {"category": category}).json()["session_id"]
        for question in QUESTIONS:
            answer = service.post(f"/sessions/{session}/turns", {"message": question})
            assert answer.status == 200, answer.text
            if answer.json()["is_complete"]:
                break
    assert service.post("/sessions", {"category": "phone"}).status == 201
    session = service.post("/sessions", {"category": "phone"}).json()["session_id"]
    assert service.post(f"/sessions/{session}/turns", {"message": "??"}).status == 422


def brief(service: Service) -> None:
    texts = ["Tea is steeped. Green tea is steeped at 80 degrees.", "Black tea is fermented."]
    assert service.post("/topics/tea/notes", {"texts": texts}).status == 201
    for workflow in "brief", "digest", "brief":
        order = {"topic": "tea", "title": f"tea {next(_titles)}"}
        assert service.post(f"/workflows/{workflow}", order).status == 201
    assert service.post("/workflows/brief", {"topic": "none", "title": "none"}).status == 409
    assert service.get("/health").status == 200


def watch(service: Service) -> None:
    for camera in "entrance", "yard", "street", "yard":
        assert service.post(f"/cameras/{camera}/frames?count=5", {}).status == 200
    for _ in range(4):
        assert service.post("/cameras/yard/description", {}).status in (200, 503)


def drive(systems: Systems) -> None:
    """Traffic of every kind, to all systems at once."""
    with ThreadPoolExecutor() as pool:
        for done in (
            pool.submit(classify, systems.classifier),
            pool.submit(discuss, systems.reviewlens, systems.llm),
            pool.submit(brief, systems.sparklio),
            pool.submit(watch, systems.detector),
        ):
            done.result()


def wait_for_scrapes(systems: Systems) -> None:
    """Wait until Prometheus has seen what the systems show."""
    for job, name in systems.totals.items():
        service: Service = getattr(systems, job)
        until(
            lambda job=job, name=name, service=service: (  # type: ignore[misc]
                systems.prometheus.value(f'sum({name}{{job="{job}"}})') == service.scrape().total(name) > 0
            ),
            f"all requests of {job} in Prometheus",
            timeout_s=40,
        )


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systems]:
    directory: Path = tmp_path_factory.mktemp("systems")
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        llm = stack.enter_context(OfflineLlm(directory / "llm.log"))
        starts: list[Callable[[], Service]] = [
            lambda: gunicorn("aiclassifier", directory / "classifier.log", {}),
            lambda: uvicorn(
                "reviewlens",
                directory / "reviewlens.log",
                {**llm.urls, "REVIEWLENS_DB": str(directory / "sessions.db")},
            ),
            lambda: uvicorn(
                "sparklio",
                directory / "sparklio.log",
                {**llm.urls, "DATABASE_URL": f"sqlite:///{directory / 'sparklio.db'}"},
            ),
            lambda: gunicorn(
                "detector",
                directory / "detector.log",
                {**llm.urls, "GEMINI_KEYS": "main=valid-1,spare=revoked-1"},
            ),
        ]
        classifier, reviewlens, sparklio, detector = pool.map(
            lambda start: stack.enter_context(start()), starts
        )
        targets = {
            "classifier": classifier,
            "reviewlens": reviewlens,
            "sparklio": sparklio,
            "detector": detector,
        }
        prometheus = stack.enter_context(
            prometheus_server(
                directory / "prometheus",
                {job: f"127.0.0.1:{service.port}" for job, service in targets.items()},
            )
        )
        systems = Systems(classifier, reviewlens, sparklio, detector, llm, prometheus)
        # A counter's increase is known from its second sample on: the first round makes the series.
        for _ in range(2):
            drive(systems)
            wait_for_scrapes(systems)
        yield systems


@pytest.mark.parametrize("asked", ONE_VALUE)
def test_an_expression_of_one_value_gives_a_sensible_number(systems: Systems, asked: str) -> None:
    expression, (low, high) = ONE_VALUE[asked]

    value = until_known(systems.prometheus, expression)

    assert low <= value <= high, f"{expression} is {value}"


def until_known(prometheus: PrometheusServer, expression: str) -> float:
    """The value of an expression, once there are the samples that it needs."""

    def ask() -> list[float]:
        value = prometheus.value(expression)
        return [] if value is None or math.isnan(value) else [value]

    return until(ask, expression)[0]


@pytest.mark.parametrize("asked", BY_LABEL)
def test_an_expression_by_label_gives_a_number_for_each(systems: Systems, asked: str) -> None:
    expression, label, expected = BY_LABEL[asked]

    def ask() -> dict[str, float]:
        found = {labels[label]: value for labels, value in systems.prometheus.query(expression)}
        assert expected <= {name for name, value in found.items() if not math.isnan(value)}, found
        return found

    found = until(ask, expression)

    assert all(0 <= value < math.inf for value in found.values()), found
    assert any(value > 0 for value in found.values()), found


def test_the_shares_of_the_providers_are_a_hundred_percent(systems: Systems) -> None:
    expression, _, _ = BY_LABEL["distribution of providers"]

    assert sum(value for _, value in systems.prometheus.query(expression)) == pytest.approx(100)


def test_increases_are_what_was_sent(systems: Systems) -> None:
    for expression, sent in (
        ('increase(predictions_total{status="error"}[1h])', 1),
        ("sum(increase(predictions_total[1h]))", 19),
        ('sum(increase(http_requests_total{job="classifier"}[1h]))', 20),
        ("sum(increase(dialogue_sessions_total[1h]))", 8),
        ("sum(increase(detection_total[1h]))", 24),
    ):
        increase = systems.prometheus.value(expression)
        assert increase is not None
        assert 0.99 * sent <= increase <= 1.7 * sent, f"{expression} is {increase}"


@pytest.mark.parametrize(
    "alert",
    ["model_state != 1", "cache_hit_rate < 0.01", "up == 0", "sparklio_workflows_active > 10"],
)
def test_no_alert_is_raised_while_all_is_well(systems: Systems, alert: str) -> None:
    assert systems.prometheus.query(alert) == []
