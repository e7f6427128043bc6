"""The semconv profile beside OpenTelemetry's instrumentations and FastAPI's own, request by request."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.responses import RedirectResponse, StreamingResponse
from flask import Blueprint, Flask, Response, abort, redirect
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import otel_obs
import otel_obs.fastapi as measured_fastapi
import otel_obs.flask as measured_flask
from otel_obs.http.profiles import SemconvProfile
from tests.http import oracles
from tests.http.oracles import Labels, Seen, seen_by, seen_by_us
from tests.http.recorded import Recorded
from tests.support.samples import parse_samples

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would have us install another client
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.usefixtures("stable_conventions", "service_of_its_own")


class Ask(NamedTuple):
    """One request, and what of the duration's attributes the oracles have otherwise, by oracle."""

    method: str
    path: str
    differences: Mapping[str, Labels] = MappingProxyType({})


def flask_app() -> Flask:
    app, prefixed = Flask(__name__), Blueprint("b", __name__, url_prefix="/b")
    app.add_url_rule("/items/<int:number>", "item", lambda number: str(number), methods=["GET", "POST"])
    app.add_url_rule("/slash/", "slash", lambda: "")
    app.add_url_rule("/moved", "moved", lambda: redirect("/items/1"))
    app.add_url_rule("/abort/<int:code>", "abort", lambda code: abort(code))
    app.add_url_rule("/broken", "broken", lambda: 1 / 0)  # type: ignore[arg-type]
    app.add_url_rule("/stream", "stream", lambda: Response(iter(["a", "b"])))
    prefixed.add_url_rule("/<name>", "name", lambda name: name)
    app.register_blueprint(prefixed)
    return app


FLASK = [
    Ask("GET", "/items/1?q=1"),
    Ask("POST", "/items/1"),
    Ask("HEAD", "/items/1"),
    Ask("OPTIONS", "/items/1"),
    Ask("BREW", "/items/1"),
    Ask("QUERY", "/items/1"),
    Ask("DELETE", "/items/1"),
    Ask("GET", "/nope"),
    Ask("GET", "/slash"),
    Ask("GET", "/moved"),
    Ask("GET", "/abort/404"),
    Ask("GET", "/abort/503"),
    Ask("GET", "/broken"),
    Ask("GET", "/stream"),
    Ask("GET", "/b/x"),
]


@pytest.mark.parametrize("ask", FLASK, ids=lambda ask: f"{ask.method} {ask.path}")
@pytest.mark.parametrize("base", ["http://localhost", "https://localhost"])
def test_flask(ask: Ask, base: str) -> None:
    app, reader = flask_app(), InMemoryMetricReader()
    instrumentor: Any = FlaskInstrumentor()
    instrumentor.instrument_app(app, meter_provider=MeterProvider([reader]))
    app.test_client().open(ask.path, method=ask.method, base_url=base).close()

    app, recorded = flask_app(), Recorded(SemconvProfile())
    measured_flask.instrument_app(app, recorded.observer)
    with app.test_client().open(ask.path, method=ask.method, base_url=base) as answer:
        answer.get_data()
    assert seen_by_us(recorded) == seen_by(reader)


def fastapi_app(**options: Any) -> FastAPI:
    app, router, inner = FastAPI(**options), APIRouter(), FastAPI(telemetry={"metrics": False})

    @app.api_route("/items/{number}", methods=["GET", "POST"], include_in_schema=False)
    def item(number: int) -> int:
        return number

    @app.get("/slash/")
    def slash() -> None: ...

    @app.get("/moved")
    def moved() -> RedirectResponse:
        return RedirectResponse("/items/1")

    @app.get("/refused/{code}")
    def refused(code: int) -> None:
        raise HTTPException(code)

    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError

    @app.get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]))

    router.add_api_route("/{name}", lambda name: name)
    app.include_router(router, prefix="/r")
    inner.add_api_route("/{name}", lambda name: name)
    app.mount("/sub", inner)
    return app


FASTAPI = [
    Ask("GET", "/items/1?q=1"),
    Ask("POST", "/items/1"),
    Ask("OPTIONS", "/items/1"),
    Ask("BREW", "/items/1"),
    Ask("DELETE", "/items/1"),
    Ask("GET", "/items/x"),
    Ask("GET", "/nope"),
    # A redirect to another path has matched nothing; FastAPI names the route that it points to.
    Ask("GET", "/slash", {"fastapi": {"http.route": "/slash/"}}),
    Ask("GET", "/moved"),
    Ask("GET", "/refused/404"),
    Ask("GET", "/refused/503"),
    # The exception says more than the status, and is there: the conventions allow both.
    Ask("GET", "/broken", {"contrib": {"error.type": "500"}}),
    Ask("GET", "/stream"),
    Ask("GET", "/r/x"),
    # Contrib does not look into mounts.
    Ask("GET", "/sub/x", {"contrib": {"http.route": "/sub"}}),
    # Nothing has matched, although something is mounted there.
    Ask("GET", "/sub/x/nope", {"contrib": {"http.route": "/sub"}, "fastapi": {"http.route": "/sub/{path}"}}),
    Ask("GET", "/docs"),
]


def ask_fastapi(app: FastAPI, ask: Ask, base: str) -> None:
    client = TestClient(app, base_url=base, raise_server_exceptions=False, follow_redirects=False)
    client.request(ask.method, ask.path)


@pytest.mark.parametrize("ask", FASTAPI, ids=lambda ask: f"{ask.method} {ask.path}")
@pytest.mark.parametrize("base", ["http://localhost", "https://localhost"])
@pytest.mark.parametrize("oracle", ["contrib", oracles.FASTAPI])
def test_fastapi(ask: Ask, base: str, oracle: str) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    if oracle == "contrib":
        app = fastapi_app(telemetry={"metrics": False})
        FastAPIInstrumentor.instrument_app(app, meter_provider=provider)
    else:
        app = fastapi_app(telemetry={"meter_provider": provider, "tracing": False, "logs": False})
    ask_fastapi(app, ask, base)

    app, recorded = fastapi_app(), Recorded(SemconvProfile())
    measured_fastapi.instrument_app(app, recorded.observer)
    ask_fastapi(app, ask, base)
    (ours,), active = seen_by_us(recorded)
    assert Seen([{**ours, **ask.differences.get(oracle, {})}], active) == seen_by(reader)


def test_the_oracles_are_silent_where_ours_are_on() -> None:
    pipeline = otel_obs.configure(profile="semconv")
    try:
        assert pipeline is not None
        app, instrumentor = flask_app(), FlaskInstrumentor()
        instrumentor.instrument_app(app, meter_provider=pipeline.provider)  # type: ignore[no-untyped-call]
        client = otel_obs.instrument(app).test_client()
        api = fastapi_app(telemetry={"meter_provider": pipeline.provider})
        FastAPIInstrumentor.instrument_app(api, meter_provider=pipeline.provider)
        client.get("/items/1")
        ask_fastapi(otel_obs.instrument(api), Ask("GET", "/items/1"), "http://localhost")
        samples = parse_samples(otel_obs.get_metrics()[0].decode())
    finally:
        otel_obs.shutdown()
    assert samples.total("http_server_request_duration_seconds_count") == 2
    assert samples.total("http_server_active_requests") == 0
    assert samples.labels("http_server_duration_milliseconds_count") == []
