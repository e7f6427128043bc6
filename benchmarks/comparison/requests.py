"""What measuring adds to a request, in-process: the application is called as its server calls it."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from flask import Flask
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry
from prometheus_fastapi_instrumentator import Instrumentator
from prometheus_flask_exporter import PrometheusMetrics
from starlette_exporter import PrometheusMiddleware

import otel_obs
from benchmarks.comparison import (
    FLASK_EXPORTER,
    INSTRUMENTATOR,
    NOTHING,
    OURS,
    STARLETTE_EXPORTER,
    STOCK,
    Figure,
    figure,
)
from benchmarks.http import (
    Call,
    PlainFastAPI,
    PlainFlask,
    fastapi_app,
    fastapi_call,
    flask_app,
    flask_call,
)

REQUESTS = 50


def measure(quick: bool) -> list[Figure]:
    """Microseconds a request of each, and what each adds to the bare application."""
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"
    rounds = 20 if quick else 100
    figures = []
    for routes in (5, 1000):
        some = rounds if routes == 5 else rounds // 4
        figures += added("Flask", routes, _flask(routes), some)
        otel_obs.shutdown()  # a process serves one of the two
        figures += added("FastAPI", routes, _fastapi(routes), some)
        otel_obs.shutdown()
    return figures


def _flask(routes: int) -> dict[str, Call]:
    exporter, stock = flask_app(PlainFlask, routes), flask_app(PlainFlask, routes)
    PrometheusMetrics(exporter, registry=CollectorRegistry(), group_by="url_rule")
    instrumentor: Any = FlaskInstrumentor()
    instrumentor.instrument_app(stock, meter_provider=MeterProvider([InMemoryMetricReader()]))
    return {
        NOTHING: flask_call(flask_app(PlainFlask, routes), routes),
        OURS: flask_call(otel_obs.instrument(flask_app(Flask, routes)), routes),
        FLASK_EXPORTER: flask_call(exporter, routes),
        STOCK: flask_call(stock, routes),
    }


def _fastapi(routes: int) -> dict[str, Call]:
    instrumentator, stock = fastapi_app(PlainFastAPI, routes), fastapi_app(PlainFastAPI, routes)
    starlette = fastapi_app(PlainFastAPI, routes)
    Instrumentator(registry=CollectorRegistry()).instrument(instrumentator)
    starlette.add_middleware(PrometheusMiddleware, group_paths=True)
    FastAPIInstrumentor.instrument_app(stock, meter_provider=MeterProvider([InMemoryMetricReader()]))
    return {
        NOTHING: fastapi_call(fastapi_app(PlainFastAPI, routes), routes),
        OURS: fastapi_call(otel_obs.instrument(fastapi_app(FastAPI, routes)), routes),
        INSTRUMENTATOR: fastapi_call(instrumentator, routes),
        STARLETTE_EXPORTER: fastapi_call(starlette, routes),
        STOCK: fastapi_call(stock, routes),
    }


def added(framework: str, routes: int, calls: Mapping[str, Call], rounds: int) -> list[Figure]:
    """What each adds to the bare application, whose own time is the row of nothing."""
    times: dict[str, list[float]] = {who: [] for who in calls}
    names = list(calls)
    requests = REQUESTS if routes == 5 else 10

    async def run() -> None:
        for _ in range(rounds):
            random.shuffle(names)
            for who in names:
                started = time.thread_time_ns()
                for _ in range(requests):
                    await calls[who]()
                times[who].append((time.thread_time_ns() - started) / requests / 1000)

    gc.collect()
    asyncio.run(run())
    bare = times.pop(NOTHING)
    what = f"{framework}, last of {routes:,} routes"
    rows = [figure(f"{what}, the bare request", NOTHING, "µs", bare)]
    for who, values in times.items():
        more = [value - plain for value, plain in zip(values, bare, strict=True)]
        rows.append(figure(f"{what}, added", who, "µs", more))
    return rows
