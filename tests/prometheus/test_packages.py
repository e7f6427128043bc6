"""Packages that import `prometheus_client` themselves, unchanged, under four workers: all is exact."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.processes import Service, tool
from tests.support.waiting import until
from tests.support.web import request

WRAPPER = tool("opentelemetry-instrument")
SENT = 60

FLASK = """
from flask import Flask
from prometheus_flask_exporter import PrometheusMetrics

app = Flask(__name__)
PrometheusMetrics(app, path="/theirs")

@app.get("/hit")
def hit():
    return "ok"
"""
INSTRUMENTATOR = """
from fastapi import FastAPI
from prometheus_fastapi_instrumentator import Instrumentator

app = FastAPI()
Instrumentator().instrument(app).expose(app, endpoint="/theirs")

@app.get("/hit")
def hit():
    return "ok"
"""
STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette_exporter import PrometheusMiddleware, handle_metrics

app = Starlette()
app.add_middleware(PrometheusMiddleware)
app.add_route("/theirs", handle_metrics)
app.add_route("/hit", lambda request: PlainTextResponse("ok"))
"""
DJANGO = """
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import include, path

settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x", INSTALLED_APPS=["django_prometheus"],
    MIDDLEWARE=[
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ],
)
django.setup()

from django.core.wsgi import get_wsgi_application
from django_prometheus.exports import ExportToDjangoView

def hit(request):
    return HttpResponse("ok")

urlpatterns = [path("hit", hit, name="hit"), path("theirs", ExportToDjangoView)]
app = get_wsgi_application()
"""
OWN_REGISTRY = """
from flask import Flask, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest

REGISTRY = CollectorRegistry()
HITS = Counter("hits", "Hits", ["path"], registry=REGISTRY)
app = Flask(__name__)

@app.get("/hit")
def hit():
    HITS.labels("/hit").inc()
    return "ok"

@app.get("/theirs")
def theirs():
    return Response(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)
"""

GUNICORN = (tool("gunicorn"), "-b", "127.0.0.1:{port}", "-w", "4", "app:app")
UVICORN = (tool("uvicorn"), "--port", "{port}", "--workers", "4", "app:app")


@pytest.mark.parametrize(
    ("source", "command", "family", "labels"),
    [
        pytest.param(FLASK, GUNICORN, "flask_http_request_total", {"status": "200"}, id="flask_exporter"),
        pytest.param(
            INSTRUMENTATOR, UVICORN, "http_requests_total", {"handler": "/hit"}, id="instrumentator"
        ),
        pytest.param(
            STARLETTE, UVICORN, "starlette_requests_total", {"path": "/hit"}, id="starlette_exporter"
        ),
        pytest.param(
            DJANGO,
            GUNICORN,
            "django_http_responses_total_by_status_view_method_total",
            {"status": "200", "view": "hit"},
            id="django_prometheus",
        ),
        pytest.param(OWN_REGISTRY, GUNICORN, "hits_total", {"path": "/hit"}, id="own_registry"),
    ],
)
def test_a_package_is_right_over_four_workers(
    source: str, command: tuple[str, ...], family: str, labels: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(source)
    with (
        Service(WRAPPER, *command, cwd=tmp_path, log_file=tmp_path / "log", ready_path="/theirs") as service,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = pool.map(lambda _: request(service.url + "/hit").status, range(SENT))
        assert list(answers) == [200] * SENT
        for _ in range(6):
            assert service.scrape("/theirs").total(family, **labels) == SENT, service.log
        said = [line for line in service.log.splitlines() if "is defined by the application" in line]
        ours = {"http_requests_total", "http_request_duration_seconds"}
        assert {line.split("'")[1] for line in said} == (ours if family in ours else set())
        about = [line.split("'")[1] for line in said]
        assert len(about) == len(set(about))  # once in the service, whichever workers were asked


DRAMATIQ = """
import dramatiq
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware
from dramatiq.middleware.prometheus import Prometheus

class Feed(Middleware):
    def after_worker_boot(self, broker, worker):
        for number in range(25):
            work.send(number)

broker = StubBroker()
broker.add_middleware(Prometheus())
broker.add_middleware(Feed())
dramatiq.set_broker(broker)

@dramatiq.actor
def work(number):
    pass
"""


def test_dramatiqs_own_exposition_is_right_over_four_workers(tmp_path: Path) -> None:
    """It has the client write files, once each worker has begun, and reads them in a process of its own."""
    (tmp_path / "app.py").write_text(DRAMATIQ)
    (tmp_path / "files").mkdir()
    environ = {
        "dramatiq_prom_host": "127.0.0.1",
        "dramatiq_prom_db": str(tmp_path / "files"),
    }
    command = (
        "env",
        "dramatiq_prom_port={port}",
        WRAPPER,
        tool("dramatiq"),
        "app",
        "--processes",
        "4",
        "--threads",
        "2",
    )
    log = tmp_path / "log"
    with Service(*command, cwd=tmp_path, env=environ, log_file=log, ready_path="/") as service:
        until(
            lambda: service.scrape("/").total("dramatiq_messages_total", actor_name="work") == 4 * 25,
            "all messages counted",
        )
