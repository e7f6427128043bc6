"""Metrics as a route of the application: its own checks come first, and the route is not counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException
from flask import Flask, abort, request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from otel_obs import fastapi as measured_fastapi
from otel_obs import flask as measured_flask
from otel_obs.http import asgi, wsgi
from otel_obs.http.outside import may_check
from otel_obs.serving.scrape import Scrape
from tests.http import drive
from tests.http.recorded import Recorded

KEY = {"X-Key": "k"}


class Page:
    def collect(self, accept: str, names: Sequence[str]) -> tuple[str, Iterator[bytes]]:
        return "text/plain; version=0.0.4", iter([b"ours 1\n"])


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    yield Recorded()
    measured_flask.uninstall()
    measured_fastapi.uninstall()


def test_flask_asks_before_it_serves(recorded: Recorded) -> None:
    app = Flask(__name__)

    @app.before_request
    def check() -> None:
        if request.headers.get("X-Key") != "k":
            abort(401)

    measured_flask.instrument_app(app, recorded.observer, Scrape(Page(), is_inside=True))
    client = app.test_client()
    for _ in range(2):
        assert client.get("/metrics").status_code == 401
        answer = client.get("/metrics", headers=KEY)
        assert (answer.status_code, answer.text) == (200, "ours 1\n")
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert recorded.requests() == {}


@pytest.mark.parametrize("kind", ["dependency", "middleware"])
def test_fastapi_asks_before_it_serves(kind: str, recorded: Recorded) -> None:
    def check(x_key: str = Header("")) -> None:
        if x_key != "k":
            raise HTTPException(401)

    app = FastAPI(dependencies=[Depends(check)] if kind == "dependency" else [])
    if kind == "middleware":

        @app.middleware("http")
        async def ask(given: Any, call_next: Any) -> Any:
            if given.headers.get("X-Key") != "k":
                return PlainTextResponse("no", 401)
            return await call_next(given)

    @app.get("/{path:path}")
    def everything(path: str) -> str:
        return path

    measured_fastapi.instrument_app(app, recorded.observer, Scrape(Page(), is_inside=True))
    client = TestClient(app)
    assert client.get("/metrics").status_code == 401
    answer = client.get("/metrics", headers=KEY)
    assert (answer.status_code, answer.text) == (200, "ours 1\n")
    assert "/metrics" not in app.openapi()["paths"]
    assert recorded.requests() == {}


def test_starlette_has_a_route(recorded: Recorded) -> None:
    app = Starlette()
    measured_fastapi.instrument_app(app, recorded.observer, Scrape(Page(), is_inside=True))
    assert TestClient(app).get("/metrics").text == "ours 1\n"


def missing(environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [])
    return [b"app"]


async def missing_too(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"app"})


def test_what_has_no_inside_serves_none(recorded: Recorded) -> None:
    scrape = Scrape(Page(), is_inside=True)
    assert drive.wsgi(wsgi.WsgiMiddleware(missing, recorded.observer, scrape), "/metrics").body == b"app"
    assert drive.asgi(asgi.AsgiMiddleware(missing_too, recorded.observer, scrape), "/metrics").body == b"app"


def test_an_application_that_may_ask_something_is_told_from_one_that_does_not() -> None:
    asking = Flask("asking")
    asking.before_request(lambda: None)
    wrapped = Flask("wrapped")
    wrapped.wsgi_app = missing  # type: ignore[method-assign]
    around = Starlette(middleware=[Middleware(BaseHTTPMiddleware, dispatch=lambda *_: None)])  # type: ignore[arg-type]
    depending = FastAPI(dependencies=[Depends(dict)])
    assert all(map(may_check, (asking, wrapped, around, depending, missing, missing_too)))
    assert not any(map(may_check, (Flask("plain"), Starlette(), FastAPI())))
