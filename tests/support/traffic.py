"""Traffic of every kind to the systems of the examples, and a Prometheus that scrapes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

from tests.support.classifier import image
from tests.support.processes import Service
from tests.support.prometheus import PrometheusServer, prometheus_server
from tests.support.systems import OfflineLlm, gunicorn, uvicorn
from tests.support.waiting import until


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
            timeout_s=240,
        )


@contextmanager
def running_systems(
    directory: Path,
    serve: Callable[[Mapping[str, str]], PrometheusServer] | None = None,
) -> Iterator[Systems]:
    """The four systems and a Prometheus, all running inside.

    Args:
        directory: Where their logs and data go.
        serve: Makes the Prometheus from `host:port` by job; by default one that scrapes five times a second.
    """
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
        addresses = {job: f"127.0.0.1:{service.port}" for job, service in targets.items()}
        make = serve or (lambda known: prometheus_server(directory / "prometheus", known))
        prometheus = stack.enter_context(make(addresses))
        yield Systems(classifier, reviewlens, sparklio, detector, llm, prometheus)
