"""`instrument` in code: what it takes, what it refuses, and what a team may add."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.testclient import TestClient
from werkzeug.test import Client

import otel_obs
from otel_obs.errors import InstrumentationError, SettingError
from tests.support.samples import Samples, parse_samples

pytestmark = pytest.mark.usefixtures("service_of_its_own")


def scrape() -> Samples:
    body, _ = otel_obs.get_metrics()
    return parse_samples(body.decode())


def make_flask() -> Flask:
    app = Flask(__name__)
    app.get("/items/<int:number>")(lambda number: {"number": number})
    return app


def test_a_callable_leaves_requests_out() -> None:
    app = otel_obs.instrument(
        make_flask(), exclude=lambda environ: "probe" in environ.get("HTTP_USER_AGENT", "")
    )
    client = app.test_client()
    client.get("/items/1")
    client.get("/items/2", headers={"User-Agent": "probe/1.0"})
    labels = {"endpoint": "/items/<int:number>", "method": "GET", "status_code": "200"}
    assert scrape().value("http_requests_total", **labels) == 1


def test_labels_of_ones_own_are_declared_and_the_rest_is_dropped() -> None:
    def tenant(carrier: Mapping[str, Any], status: int, headers: Iterable[Any]) -> Mapping[str, object]:
        return {"tenant": carrier.get("HTTP_X_TENANT", "none"), "user": "must not appear"}

    app = otel_obs.instrument(make_flask(), extra_labels=otel_obs.ExtraLabels(("tenant",), tenant))
    app.test_client().get("/items/1", headers={"X-Tenant": "a"})
    samples = scrape()
    labels = {"endpoint": "/items/<int:number>", "method": "GET", "status_code": "200", "tenant": "a"}
    assert samples.value("http_requests_total", **labels) == 1
    assert not any("user" in each for each in samples.labels("http_requests_total"))


def test_a_plain_asgi_callable_is_wrapped() -> None:
    async def plain(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    client = TestClient(otel_obs.instrument(plain))
    client.get("/anything")
    samples = parse_samples(client.get("/metrics").text)
    labels = {"endpoint": "__unknown__", "method": "GET", "status_code": "204"}
    assert samples.value("http_requests_total", **labels) == 1


def test_a_plain_wsgi_callable_is_wrapped() -> None:
    def plain(environ: Any, start_response: Any) -> list[bytes]:
        start_response("204 No Content", [])
        return []

    client = Client(otel_obs.instrument(plain))
    client.get("/anything")
    samples = parse_samples(client.get("/metrics").text)
    labels = {"endpoint": "__unknown__", "method": "GET", "status_code": "204"}
    assert samples.value("http_requests_total", **labels) == 1


def test_the_middleware_of_a_bound_wsgi_app_knows_the_route() -> None:
    app = make_flask()
    app.wsgi_app = otel_obs.PrometheusMiddleware(app.wsgi_app)  # type: ignore[method-assign]
    client = app.test_client()
    client.get("/items/7")
    samples = parse_samples(client.get("/metrics").text)
    labels = {"endpoint": "/items/<int:number>", "method": "GET", "status_code": "200"}
    assert samples.value("http_requests_total", **labels) == 1


def test_an_application_instrumented_twice_counts_once() -> None:
    app = FastAPI()
    app.get("/hello")(lambda: "hello")
    assert otel_obs.instrument(otel_obs.instrument(app)) is app
    with TestClient(app) as client:
        client.get("/hello")
        samples = parse_samples(client.get("/metrics").text)
    labels = {"endpoint": "/hello", "method": "GET", "status_code": "200"}
    assert samples.value("http_requests_total", **labels) == 1


def test_the_semantic_conventions_are_a_setting_away() -> None:
    app = otel_obs.instrument(make_flask(), profile="semconv")
    app.test_client().get("/items/1")
    labels = {
        "http_request_method": "GET",
        "http_route": "/items/<int:number>",
        "http_response_status_code": "200",
        "url_scheme": "http",
        "network_protocol_version": "1.1",
    }
    assert scrape().value("http_server_request_duration_seconds_count", **labels) == 1


def test_what_is_no_application_is_named() -> None:
    with pytest.raises(InstrumentationError) as raised:
        otel_obs.instrument(42)  # type: ignore[type-var]
    assert str(raised.value) == (
        "instrument() got builtins.int; expected an application of Flask, FastAPI, Starlette, Django, "
        "Quart, Litestar, Falcon, Bottle or aiohttp, or a WSGI or ASGI callable"
    )


def test_a_wrong_option_in_code_is_raised() -> None:
    with pytest.raises(SettingError, match="profile='new' is not known; expected classic or semconv"):
        otel_obs.instrument(make_flask(), profile="new")


def test_a_token_file_that_is_not_there_is_said_and_the_application_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_OBS_METRICS_TOKEN_FILE", str(tmp_path / "token"))
    client = otel_obs.instrument(make_flask()).test_client()
    assert client.get("/items/1").status_code == 200
    assert client.get("/metrics").status_code == 404
    assert f"OTEL_OBS_METRICS_TOKEN_FILE='{tmp_path / 'token'}' cannot be read" in caplog.text


def test_switched_off_the_application_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_OBS_ENABLED", "false")
    client = otel_obs.instrument(make_flask()).test_client()
    assert client.get("/items/1").status_code == 200
    assert client.get("/metrics").status_code == 404
    assert otel_obs.get_metrics() == (b"", "text/plain; version=0.0.4")
