"""Applications within others, of which only the outermost is instrumented: the inner one tells its routes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest
from a2wsgi import ASGIMiddleware, WSGIMiddleware
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import otel_obs
from tests.apps import frameworks as apps
from tests.http import drive
from tests.support.processes import clean_env
from tests.support.samples import Samples, parse_samples
from tests.support.waiting import until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would have us install another package
    from starlette.middleware.wsgi import WSGIMiddleware as StarlettesWsgi

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*inferred style"),
    pytest.mark.usefixtures("service_of_its_own"),
]

Counts = Mapping[tuple[str, str], float]


def scrape() -> Samples:
    return parse_samples(otel_obs.get_metrics()[0].decode())


def counted() -> Counts:
    samples = scrape()
    return {
        (labels["endpoint"], labels["status_code"]): samples.value("http_requests_total", **labels)
        for labels in samples.labels("http_requests_total")
    }


def errors() -> dict[str, float]:
    samples = scrape()
    return {
        labels["error_type"]: samples.value("errors_total", **labels)
        for labels in samples.labels("errors_total")
    }


def ask_asgi(app: Any, *paths: str) -> None:
    for path in paths:
        client = drive.Client(drive.END)
        with suppress(LookupError):
            asyncio.run(app(drive.scope(path), client.receive, client.send))


def ask_wsgi(app: Any, *paths: str) -> None:
    for path in paths:
        drive.wsgi(app, path)


def flask_app() -> Flask:
    app = Flask(__name__)
    app.add_url_rule("/items/<int:number>", "item", lambda number: str(number))
    app.add_url_rule("/boom", "boom", lambda: {}["missing"])  # type: ignore[index]
    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/items/{number}")
    async def item(number: int) -> int:
        return number

    @app.get("/boom")
    async def boom() -> None:
        raise LookupError("on purpose")

    return app


FLASK_WITHIN: dict[str, Callable[[], Any]] = {
    "a2wsgi": lambda: WSGIMiddleware(flask_app()),  # type: ignore[arg-type]
    "starlette": lambda: StarlettesWsgi(flask_app()),
}


@pytest.mark.parametrize("bridge", FLASK_WITHIN)
def test_flask_within_fastapi(bridge: str) -> None:
    app = FastAPI()
    app.mount("/old/{tenant}", FLASK_WITHIN[bridge]())
    app.mount("/", FLASK_WITHIN[bridge]())
    otel_obs.instrument(app)
    ask_asgi(app, "/items/1", "/boom", "/nope", "/old/7/items/1")
    assert counted() == {
        ("/items/<int:number>", "200"): 1,
        ("/boom", "500"): 1,
        ("__unmatched__", "404"): 1,
        ("/old/{tenant}/items/<int:number>", "200"): 1,
    }
    assert errors() == {"KeyError": 1}


def test_fastapi_within_wsgi() -> None:
    app = otel_obs.instrument(ASGIMiddleware(fastapi_app()))  # type: ignore[arg-type]
    ask_wsgi(app, "/items/1", "/boom", "/nope")
    assert counted() == {
        ("/items/{number}", "200"): 1,
        ("/boom", "500"): 1,
        ("__unmatched__", "404"): 1,
    }
    # The exception is raised after the answer, by another thread.
    until(lambda: errors() == {"LookupError": 1}, "a counted exception")


@pytest.mark.parametrize("name", ["quart", "litestar"])
def test_others_within_wsgi(name: str) -> None:
    app = otel_obs.instrument(ASGIMiddleware(getattr(apps, name)()))
    ask_wsgi(app, "/items/1", "/nope")
    template = "/items/<int:number>" if name == "quart" else "/items/{number}"
    assert counted() == {(template, "200"): 1, ("__unmatched__", "404"): 1}


@pytest.mark.parametrize("name", ["django_wsgi", "bottle", "falcon_wsgi"])
def test_others_within_asgi(name: str) -> None:
    inner = getattr(apps, name)()
    app = otel_obs.instrument(Starlette(routes=[Mount("/old", app=WSGIMiddleware(inner))]))  # type: ignore[arg-type]
    ask_asgi(app, "/old/items/1", "/old/nope")
    found = {status: endpoint for endpoint, status in counted()}
    assert found["200"].startswith("/old/items/<int:number>".partition("<")[0])
    assert found["404"] == "__unmatched__"


def test_both_behind_a_dispatcher() -> None:
    served = DispatcherMiddleware(flask_app(), {"/api": ASGIMiddleware(fastapi_app())})  # type: ignore[arg-type,dict-item]
    app = otel_obs.instrument(served)
    ask_wsgi(app, "/items/1", "/api/items/2", "/api/nope", "/nope")
    assert counted() == {
        ("/items/<int:number>", "200"): 1,
        ("/api/items/{number}", "200"): 1,
        ("__unmatched__", "404"): 2,
    }


def test_flask_within_fastapi_within_wsgi() -> None:
    inside = FastAPI()
    inside.mount("/in/{tenant}", WSGIMiddleware(flask_app()))  # type: ignore[arg-type]
    served = DispatcherMiddleware(Flask("root"), {"/api": ASGIMiddleware(inside)})  # type: ignore[arg-type,dict-item]
    ask_wsgi(otel_obs.instrument(served), "/api/in/7/items/1", "/api/in/7/nope")
    assert counted() == {
        ("/api/in/{tenant}/items/<int:number>", "200"): 1,
        ("__unmatched__", "404"): 1,
    }


async def ok(request: Any) -> PlainTextResponse:
    return PlainTextResponse("ok")


ALONE: dict[str, tuple[Callable[[], Any], str, str]] = {
    "route": (lambda: Route("/r/{x}", ok), "/r/1", "/r/{x}"),
    "mount": (lambda: Mount("/m/{y}", routes=[Route("/r/{x}", ok)]), "/m/2/r/1", "/m/{y}/r/{x}"),
    "host": (lambda: Host("{domain}", Router([Route("/r/{x}", ok)])), "/r/1", "/r/{x}"),
    "router": (lambda: Router([Mount("/m", routes=[Route("/r/{x}", ok)])]), "/m/r/1", "/m/r/{x}"),
}


@pytest.mark.parametrize("kind", ALONE)
def test_a_routing_object_that_is_the_application(kind: str) -> None:
    make, path, template = ALONE[kind]
    app = otel_obs.instrument(make())
    ask_asgi(app, path, path, "/nope")
    assert counted() == {(template, "200"): 2, ("__unmatched__", "404"): 1}


LATE = """
import asyncio
import otel_obs
from fastapi import FastAPI
app = otel_obs.instrument(FastAPI())
from a2wsgi import WSGIMiddleware
from flask import Flask
flask = Flask("late")
flask.add_url_rule("/x/<y>", "x", lambda y: y)
app.mount("/", WSGIMiddleware(flask))
from tests.http import drive
drive.asgi(app, "/x/1")
print(otel_obs.get_metrics()[0].decode())
"""


def test_a_framework_that_is_imported_later() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LATE], capture_output=True, text=True, env=clean_env(), check=True
    )
    samples = parse_samples(ran.stdout)
    assert samples.value("http_requests_total", method="GET", endpoint="/x/<y>", status_code="200") == 1
