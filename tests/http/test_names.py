"""The right name, whatever stands between the layer that measures and the route that is matched."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import Any

import pytest
from a2wsgi import ASGIMiddleware, WSGIMiddleware
from fastapi import APIRouter, FastAPI, Request
from flask import Flask, copy_current_request_context
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.middleware import Middleware as StarletteMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Match, Mount, Route, Router
from starlette.testclient import TestClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, EnvironBuilder
from werkzeug.wrappers import Request as WerkzeugRequest

import otel_obs
from otel_obs.http import prefixes
from tests.http import drive
from tests.support.samples import parse_samples

ITEM, RULE = "/items/{item}", "/items/<item>"


pytestmark = pytest.mark.usefixtures("service_of_its_own")


def counted() -> dict[tuple[str, str], float]:
    samples = parse_samples(otel_obs.get_metrics()[0].decode())
    return {
        (labels["endpoint"], labels["status_code"]): samples.value("http_requests_total", **labels)
        for labels in samples.labels("http_requests_total")
    }


class Copying:
    """Hands on a copy of the scope."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(dict(scope), receive, send)


class Merging(Copying):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app({**scope, "state": {}}, receive, send)


class Requesting(Copying):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(Request(dict(scope), receive).scope, receive, send)


class Base(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        return await call_next(request)


def fastapi_app() -> FastAPI:
    app, router, sub = FastAPI(), APIRouter(prefix="/v1"), FastAPI()
    app.get(ITEM)(lambda item: item)
    router.get("/things/{thing}")(lambda thing: thing)
    app.include_router(router)
    sub.get("/deep/{x}")(lambda x: x)
    app.mount("/sub", sub)
    return app


ASKED = ("/items/1", "/v1/things/2", "/sub/deep/3", "/nothing")
NAMED = {
    (ITEM, "200"): 1,
    ("/v1/things/{thing}", "200"): 1,
    ("/sub/deep/{x}", "200"): 1,
    ("__unmatched__", "404"): 1,
}


@pytest.mark.parametrize("kind", [Copying, Merging, Requesting, Base, GZipMiddleware, CORSMiddleware])
@pytest.mark.parametrize("way", ["inside", "around", "both"])
def test_middleware_of_asgi(kind: Any, way: str) -> None:
    app: Any = fastapi_app()
    if way in ("inside", "both"):
        app.add_middleware(kind)
    if way in ("around", "both"):
        app = kind(app)
    client = TestClient(otel_obs.instrument(app))
    for path in ASKED:
        client.get(path)
    assert counted() == NAMED


@pytest.mark.parametrize("early", [True, False], ids=["made before", "made after"])
@pytest.mark.parametrize("way", ["router", "mount", "route"])
def test_middleware_of_a_router(way: str, early: bool) -> None:
    copying = [StarletteMiddleware(Copying)]

    def make() -> Any:
        route = Route(
            ITEM, lambda request: PlainTextResponse("x"), middleware=copying if way == "route" else None
        )
        if way == "mount":
            return Starlette(routes=[Mount("/m", routes=[route], middleware=copying)])
        return Router(routes=[route], middleware=copying if way == "router" else None)

    if early:
        app = make()
        served = otel_obs.instrument(app)
    else:
        otel_obs.instrument(Starlette())
        served = otel_obs.instrument(make())
    prefix = "/m" if way == "mount" else ""
    TestClient(served).get(f"{prefix}/items/1")
    assert counted() == {(prefix + ITEM, "200"): 1}


def test_after_a_dropped_application_another_has_its_own_names() -> None:
    for number in range(30):
        app = Starlette(
            routes=[Mount(f"/m{number}", routes=[Route(ITEM, lambda request: PlainTextResponse("x"))])]
        )
        TestClient(otel_obs.instrument(app)).get(f"/m{number}/items/1")
        del app
        gc.collect()
    assert counted() == {(f"/m{number}{ITEM}", "200"): 1 for number in range(30)}


class Custom(BaseRoute):
    """A routing object that leaves nothing."""

    path = "/custom/{x}"

    def matches(self, scope: Any) -> Any:
        return (Match.FULL if scope["path"].startswith("/custom/") else Match.NONE), {}

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("x")(scope, receive, send)


@pytest.mark.parametrize("make", [Starlette, FastAPI])
def test_a_routing_object_that_leaves_no_route(make: Any) -> None:
    app = make()
    app.router.routes.append(Custom())
    client = TestClient(otel_obs.instrument(app))
    client.get("/custom/1")
    client.get("/other")
    assert counted() == {("/custom/{x}", "200"): 1, ("__unmatched__", "404"): 1}


@pytest.mark.skipif(not hasattr(FastAPI, "frontend"), reason="this FastAPI has no frontend()")
def test_a_frontend(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>")
    (tmp_path / "app.js").write_text("1")
    app, router = FastAPI(), APIRouter(prefix="/in")
    app.get("/api")(lambda: 1)
    app.frontend("/ui", directory=str(tmp_path))
    router.frontend("/pages", directory=str(tmp_path))
    app.include_router(router)
    client = TestClient(otel_obs.instrument(app))
    for path in ("/ui/", "/ui/app.js", "/in/pages/app.js", "/api"):
        assert client.get(path).status_code == 200, path
    assert counted() == {("/ui/{path}", "200"): 2, ("/in/pages/{path}", "200"): 1, ("/api", "200"): 1}


def test_what_middleware_answers_is_unknown() -> None:
    app = otel_obs.instrument(CORSMiddleware(fastapi_app(), allow_origins=["*"]))
    headers = {"Origin": "http://x", "Access-Control-Request-Method": "GET"}
    assert TestClient(app).options("/items/1", headers=headers).status_code == 200
    assert counted() == {("__unknown__", "200"): 1}


def flask_app() -> Flask:
    app = Flask(__name__)
    app.add_url_rule(RULE, "item", lambda item: item)
    return app


def in_a_thread(app: Flask) -> None:
    @app.before_request
    def before() -> None:
        @copy_current_request_context
        def aside() -> None:
            pass

        thread = threading.Thread(target=aside)
        thread.start()
        thread.join()


def in_a_context(app: Flask) -> None:
    @app.after_request
    def after(response: Any) -> Any:
        with app.request_context(flask_request.environ):
            pass
        with app.test_request_context("/elsewhere"):
            pass
        return response


def with_a_request(app: Flask) -> None:
    @app.before_request
    def before() -> None:
        WerkzeugRequest(flask_request.environ)


def buffering(app: Flask) -> None:
    """Answers only when the application has returned."""
    inner = app.wsgi_app

    def buffered(environ: Any, start_response: Any) -> Any:
        started: list[Any] = []
        body = b"".join(inner(environ, lambda *given: started.append(given)))  # type: ignore[arg-type]
        WerkzeugRequest(environ)
        start_response(*started[0])
        return [body]

    app.wsgi_app = buffered  # type: ignore[method-assign]


def copying(app: Flask) -> None:
    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start: inner(dict(environ), start)  # type: ignore[assignment,method-assign]


@pytest.mark.parametrize("disturb", [in_a_thread, in_a_context, with_a_request, buffering, copying])
def test_flask_keeps_its_route(disturb: Any) -> None:
    app = flask_app()
    disturb(app)
    otel_obs.instrument(app)
    client = app.test_client()
    client.get("/items/1")
    client.get("/nope")
    assert counted() == {(RULE, "200"): 1, ("__unmatched__", "404"): 1}


class Timeout(BaseException):
    """As gevent's, which no handler of Flask's catches."""


@pytest.mark.parametrize("is_wrapped", [True, False])
def test_an_interrupted_request_keeps_its_route_under_subdomains(is_wrapped: bool) -> None:
    app = Flask(__name__, subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.test"

    def slow(item: str, tenant: str) -> str:
        raise Timeout

    app.add_url_rule(RULE, "item", slow, subdomain="<tenant>")
    inner = app.wsgi_app
    if is_wrapped:
        app.wsgi_app = lambda environ, start: inner(dict(environ), start)  # type: ignore[assignment,method-assign]
    otel_obs.instrument(app)
    with pytest.raises(Timeout):
        app(EnvironBuilder("/items/1", "http://acme.example.test").get_environ(), lambda *_: None)  # type: ignore[arg-type]
    assert counted() == {(RULE, "500"): 1}


def test_wsgi_in_asgi_and_asgi_in_wsgi_count_once() -> None:
    TestClient(otel_obs.instrument(WSGIMiddleware(flask_app()))).get("/items/1")  # type: ignore[arg-type]
    inner = otel_obs.instrument(fastapi_app())
    outer = otel_obs.instrument(ASGIMiddleware(inner))  # type: ignore[arg-type]
    assert Client(outer).get("/items/1").status_code == 200  # type: ignore[arg-type]
    assert Client(outer).get("/nothing").status_code == 404  # type: ignore[arg-type]
    assert counted() == {(RULE, "200"): 1, (ITEM, "200"): 1, ("__unmatched__", "404"): 1}


@pytest.mark.parametrize("profile", ["classic", "semconv"])
def test_a_prefix_from_outside_means_the_same_to_both(profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_OBS_PROFILE", profile)
    monkeypatch.setenv("SCRIPT_NAME", "/api")
    prefixes._server_prefix.cache_clear()
    flask, inner = flask_app(), flask_app()
    served = DispatcherMiddleware(flask, {"/in": inner})
    for app in (flask, inner):
        otel_obs.instrument(app)
    asgi = otel_obs.instrument(fastapi_app())
    for path in ("/items/1", "/in/items/1"):
        drive.wsgi(served, path, SCRIPT_NAME="/api", RAW_URI=f"/api{path}")
    for path in ("/items/1", "/sub/deep/1"):
        drive.asgi(asgi, f"/api{path}", root_path="/api")
    prefixes._server_prefix.cache_clear()
    samples = parse_samples(otel_obs.get_metrics()[0].decode())
    label, family = ("endpoint", "http_requests_total")
    if profile == "semconv":
        label, family = "http_route", "http_server_request_duration_seconds_count"
    root = "/api" if profile == "semconv" else ""
    assert {labels[label] for labels in samples.labels(family)} == {
        f"{root}{RULE}",
        f"{root}/in{RULE}",
        f"{root}{ITEM}",
        f"{root}/sub/deep/{{x}}",
    }
