"""What measuring a request adds, beside other libraries: Flask and FastAPI, in-process."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Response
from flask import Flask
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry
from prometheus_fastapi_instrumentator import Instrumentator
from prometheus_flask_exporter import PrometheusMetrics
from starlette.applications import Starlette
from werkzeug.test import EnvironBuilder

import otel_obs

Result = tuple[str, float, float]
Call = Callable[[], Awaitable[None]]

IS_QUICK = bool(os.environ.get("OTEL_OBS_BENCH_QUICK"))
ROUNDS = 80 if IS_QUICK else 200
REQUESTS = 50
LOW_QUANTILE = 10


class PlainFlask(Flask):
    """Flask as it was before otel_obs came: nothing of ours may slow down what ours is compared with."""

    __call__ = Flask.__call__
    wsgi_app = Flask.wsgi_app


class _PlainStarlette(Starlette):
    __call__ = Starlette.__call__


class PlainFastAPI(FastAPI, _PlainStarlette):
    """FastAPI as it was before otel_obs came."""


def flask_app(kind: type[Flask], routes: int = 5) -> Flask:
    """An application whose last route is asked."""
    app = kind(__name__)
    for number in range(routes):
        app.add_url_rule(f"/r{number}/<int:item>", f"r{number}", lambda item: "ok")
    return app


def fastapi_app(kind: type[FastAPI], routes: int = 5) -> FastAPI:
    """An application whose last route is asked."""
    app = kind()
    if telemetry := getattr(app, "_telemetry", None):
        telemetry["metrics"] = False  # a global provider, ours, would switch FastAPI's own on

    async def item(item: int) -> Response:
        return Response("ok")

    for number in range(routes):
        app.get(f"/r{number}/{{item}}")(item)
    return app


def flask_call(app: Any, routes: int = 5) -> Call:
    """One request as a server makes it."""
    environ = EnvironBuilder(f"/r{routes - 1}/7").get_environ()

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        return None

    async def call() -> None:
        body = app(dict(environ), start_response)
        for _ in body:
            pass
        body.close()

    return call


def fastapi_call(app: Any, routes: int = 5) -> Call:
    """One request as a server makes it."""
    path = f"/r{routes - 1}/7"
    scope: Mapping[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        return None

    async def call() -> None:
        await app(dict(scope), receive, send)

    return call


def cost_us(calls: Mapping[str, Call], rounds: int = ROUNDS, requests: int = REQUESTS) -> dict[str, float]:
    """Microseconds of processor time a request, all alternating in one run.

    A low quantile: what disturbs a measurement only ever makes it longer.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)

    async def measure() -> None:
        for _ in range(rounds):
            random.shuffle(names)
            for name in names:
                call = calls[name]
                started = time.thread_time_ns()
                for _ in range(requests):
                    await call()
                times[name].append((time.thread_time_ns() - started) / requests / 1000)

    gc.collect()
    asyncio.run(measure())
    return {name: statistics.quantiles(values, n=LOW_QUANTILE)[0] for name, values in times.items()}


def added(costs: Mapping[str, float], name: str) -> float:
    """What *name* adds to the bare application, in microseconds."""
    return costs[name] - costs["bare"]


def flask_results() -> list[Result]:
    """Flask beside prometheus_flask_exporter and stock OpenTelemetry."""
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"
    exporter, stock = flask_app(PlainFlask), flask_app(PlainFlask)
    PrometheusMetrics(exporter, registry=CollectorRegistry(), group_by="url_rule")
    instrumentor: Any = FlaskInstrumentor()
    instrumentor.instrument_app(stock, meter_provider=MeterProvider([InMemoryMetricReader()]))
    costs = cost_us(
        {
            "bare": flask_call(flask_app(PlainFlask)),
            "ours": flask_call(otel_obs.instrument(flask_app(Flask))),
            "exporter": flask_call(exporter),
            "stock": flask_call(stock),
        }
    )
    ours = added(costs, "ours")
    return [
        ("Flask, added / prometheus_flask_exporter's", ours / added(costs, "exporter"), 0.25),
        ("Flask, added / stock OpenTelemetry's", ours / added(costs, "stock"), 0.07),
    ]


def fastapi_results() -> list[Result]:
    """FastAPI beside prometheus-fastapi-instrumentator and stock OpenTelemetry."""
    instrumentator, stock = fastapi_app(PlainFastAPI), fastapi_app(PlainFastAPI)
    Instrumentator(registry=CollectorRegistry()).instrument(instrumentator)
    FastAPIInstrumentor.instrument_app(stock, meter_provider=MeterProvider([InMemoryMetricReader()]))
    costs = cost_us(
        {
            "bare": fastapi_call(fastapi_app(PlainFastAPI)),
            "ours": fastapi_call(otel_obs.instrument(fastapi_app(FastAPI))),
            "instrumentator": fastapi_call(instrumentator),
            "stock": fastapi_call(stock),
        }
    )
    ours = added(costs, "ours")
    return [
        ("FastAPI, added / prometheus-fastapi-instrumentator's", ours / added(costs, "instrumentator"), 0.15),
        ("FastAPI, added / stock OpenTelemetry's", ours / added(costs, "stock"), 0.05),
    ]


def flask_flatness(routes: int = 1000) -> list[Result]:
    """The last of many routes."""
    costs = cost_us(
        {
            "bare": flask_call(flask_app(PlainFlask, routes), routes),
            "ours": flask_call(otel_obs.instrument(flask_app(Flask, routes)), routes),
        }
    )
    return [(f"Flask, last of {routes:,} routes, measured / bare", costs["ours"] / costs["bare"], 1.2)]


def fastapi_flatness(routes: int = 1000) -> list[Result]:
    """The last of many routes: FastAPI itself takes longer there, what we add must not."""
    costs = cost_us(
        {
            "bare": fastapi_call(fastapi_app(PlainFastAPI, routes), routes),
            "ours": fastapi_call(otel_obs.instrument(fastapi_app(FastAPI, routes)), routes),
        },
        rounds=ROUNDS // 4,
        requests=10,
    )
    return [(f"FastAPI, last of {routes:,} routes, measured / bare", costs["ours"] / costs["bare"], 1.05)]


def run() -> list[Result]:
    """Every measurement: added cost, ratios of added costs, and that it stays with many routes."""
    results = flask_results() + flask_flatness()
    otel_obs.shutdown()  # a process serves one of the two
    return [*results, *fastapi_results(), *fastapi_flatness()]
