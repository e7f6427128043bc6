"""Libraries that measure a service too, and frameworks whose requests are not measured: one row each."""

from __future__ import annotations

from typing import NamedTuple


class OtherLibrary(NamedTuple):
    """A library that measures requests or serves metrics, with its module and its distribution."""

    module: str
    package: str
    what: str
    remedy: str
    is_problem: bool = True


KEEP_ONE = "remove it, or keep it and set OTEL_OBS_HTTP=off; `otel-obs migrate` shows what to change"
AGENT = "fine beside otel_obs where spans are wanted from it; else remove its start command"

OTHER_LIBRARIES = (
    OtherLibrary(
        "prometheus_client",
        "prometheus-client",
        "its metrics are added up over all workers and are part of /metrics",
        "nothing",
        is_problem=False,
    ),
    OtherLibrary(
        "prometheus_flask_exporter", "prometheus-flask-exporter", "counts each request too", KEEP_ONE
    ),
    OtherLibrary(
        "prometheus_fastapi_instrumentator",
        "prometheus-fastapi-instrumentator",
        "counts each request too",
        KEEP_ONE,
    ),
    OtherLibrary("starlette_exporter", "starlette-exporter", "counts each request too", KEEP_ONE),
    OtherLibrary("starlette_prometheus", "starlette-prometheus", "counts each request too", KEEP_ONE),
    OtherLibrary("django_prometheus", "django-prometheus", "counts each request too", KEEP_ONE),
    OtherLibrary("aioprometheus", "aioprometheus", "counts in each worker for itself", KEEP_ONE),
    OtherLibrary("flask_prometheus_metrics", "flask-prometheus-metrics", "counts each request too", KEEP_ONE),
    OtherLibrary("rcfastapi_prometheus", "rcfastapi-prometheus", "counts each request too", KEEP_ONE),
    OtherLibrary(
        "opentelemetry.sdk.metrics",
        "",
        "sets up a pipeline of its own, which then has what otel_obs would record",
        "remove MeterProvider(…) and set_meter_provider(…): otel_obs is the provider",
    ),
    OtherLibrary(
        "opentelemetry.exporter.prometheus",
        "",
        "exposes one worker's numbers only",
        "remove it: otel_obs serves /metrics for all workers",
    ),
    OtherLibrary("ddtrace", "ddtrace", "wraps the same frameworks", AGENT, is_problem=False),
    OtherLibrary("newrelic", "newrelic", "wraps the same frameworks", AGENT, is_problem=False),
    OtherLibrary("elasticapm", "elastic-apm", "wraps the same frameworks", AGENT, is_problem=False),
    OtherLibrary("sentry_sdk", "sentry-sdk", "records errors and spans of its own", AGENT, is_problem=False),
    OtherLibrary(
        "logfire",
        "logfire",
        "is an OpenTelemetry distribution too: whoever sets the provider first has it",
        "let one of them be the provider of metrics",
    ),
)

UNMEASURED = {
    "aiohttp.web": "aiohttp's server",
    "sanic": "Sanic",
    "tornado.web": "Tornado",
    "robyn": "Robyn",
    "blacksheep": "BlackSheep",
    "pyramid": "Pyramid",
    "cherrypy": "CherryPy",
    "grpc": "gRPC",
    "masonite": "Masonite",
    "emmett": "Emmett",
}
"""Frameworks whose route templates otel_obs does not know, by the module that a service imports."""
CALLABLES = frozenset({"pyramid", "blacksheep", "emmett"})
"""Those whose application is a WSGI or ASGI callable: requests are counted, without route templates."""
