"""What measuring adds to a request that is traced, beside one that is not; the same of single instruments."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from flask import Flask
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider

import otel_obs
from benchmarks.http import (
    PlainFastAPI,
    PlainFlask,
    Result,
    cost_us,
    fastapi_app,
    fastapi_call,
    flask_app,
    flask_call,
)
from otel_obs import tracing
from otel_obs.frameworks.known import framework_of
from otel_obs.sdk import MeterProvider

IS_QUICK = bool(os.environ.get("OTEL_OBS_BENCH_QUICK"))
ROUNDS, CALLS = (10, 500) if IS_QUICK else (40, 2000)
REQUEST_GOAL, RECORD_GOAL = 2.0, 4.0


def have_traced(app: Any) -> None:
    """Have the requests to *app* traced, as the product does."""
    framework = framework_of(app)
    assert framework is not None
    assert framework.tracer is not None
    tracing.trace_requests(framework.tracer, app)


def added_to_traced(costs: dict[str, float]) -> float:
    """What ours adds to a traced application, over what it adds to one that is not."""
    return (costs["traced, ours"] - costs["traced"]) / (costs["ours"] - costs["bare"])


def flask_results() -> list[Result]:
    """Flask under OpenTelemetry's instrumentation."""
    upstream: Any = FlaskInstrumentor()
    traced, both = flask_app(PlainFlask), otel_obs.instrument(flask_app(Flask))
    upstream.instrument_app(traced, meter_provider=NoOpMeterProvider())
    have_traced(both)
    costs = cost_us(
        {
            "bare": flask_call(flask_app(PlainFlask)),
            "ours": flask_call(otel_obs.instrument(flask_app(Flask))),
            "traced": flask_call(traced),
            "traced, ours": flask_call(both),
        }
    )
    return [("Flask, added to a traced request / to another", added_to_traced(costs), REQUEST_GOAL)]


def untraced(app: FastAPI) -> FastAPI:
    """FastAPI makes spans of its own as soon as there is a tracer provider."""
    telemetry = getattr(app, "_telemetry", None)
    if telemetry:
        telemetry["tracing"] = False
    return app


def fastapi_results() -> list[Result]:
    """FastAPI under OpenTelemetry's instrumentation."""
    traced, both = untraced(fastapi_app(PlainFastAPI)), untraced(fastapi_app(FastAPI))
    otel_obs.instrument(both)
    FastAPIInstrumentor.instrument_app(
        traced, meter_provider=NoOpMeterProvider(), exclude_spans=["receive", "send"]
    )
    have_traced(both)
    costs = cost_us(
        {
            "bare": fastapi_call(untraced(fastapi_app(PlainFastAPI))),
            "ours": fastapi_call(otel_obs.instrument(untraced(fastapi_app(FastAPI)))),
            "traced": fastapi_call(traced),
            "traced, ours": fastapi_call(both),
        }
    )
    return [("FastAPI, added to a traced request / to another", added_to_traced(costs), REQUEST_GOAL)]


def record_us(record: Callable[[], None]) -> float:
    """Microseconds of one call, the fastest of some rounds."""
    fastest = float("inf")
    for _ in range(ROUNDS):
        started = time.thread_time_ns()
        for _ in range(CALLS):
            record()
        fastest = min(fastest, time.thread_time_ns() - started)
    return fastest / CALLS / 1000


def record_results() -> list[Result]:
    """A counter and a histogram, within a sampled span and without one."""
    meter = MeterProvider(shutdown_on_exit=False).get_meter(__name__)
    counter, histogram = meter.create_counter("counted"), meter.create_histogram("spread")
    attributes = {"method": "GET", "endpoint": "/items/<item>", "status_code": "200"}
    records = {
        "counter": lambda: counter.add(1, attributes),
        "histogram": lambda: histogram.record(0.3, attributes),
    }
    found = []
    for name, record in records.items():
        without = record_us(record)
        with trace.get_tracer(__name__).start_as_current_span("a span"):
            within = record_us(record)
        found.append((f"{name}, in a sampled span / without", within / without, RECORD_GOAL))
    return found


def run() -> list[Result]:
    """Every ratio of this page."""
    trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
    results = flask_results()
    otel_obs.shutdown()  # a process serves one of the two
    return [*results, *fastapi_results(), *record_results()]
