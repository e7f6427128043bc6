"""The same small application under other libraries' exporters, each as its documentation shows it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from flask import Flask

from tests.apps.plain_flask import item as flask_item


def with_prometheus_client() -> Flask:
    """Counted by hand, with a page of prometheus_client."""
    from prometheus_client import Counter, Histogram, make_wsgi_app
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    app = _flask()
    requests = Counter("shop_requests", "Requests of the shop.", ["method", "endpoint"])
    took = Histogram("shop_request_seconds", "How long they took.", ["endpoint"])

    @app.before_request
    def count() -> None:
        requests.labels("GET", "item").inc()
        took.labels("item").observe(0.02)

    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/metrics": make_wsgi_app()})  # type: ignore[method-assign]
    return app


def with_flask_exporter() -> Flask:
    """prometheus_flask_exporter."""
    from prometheus_flask_exporter import PrometheusMetrics

    app = _flask()
    PrometheusMetrics(app)
    return app


def with_instrumentator() -> FastAPI:
    """prometheus-fastapi-instrumentator."""
    from prometheus_fastapi_instrumentator import Instrumentator

    app = _fastapi()
    Instrumentator().instrument(app).expose(app)
    return app


def with_starlette_exporter() -> FastAPI:
    """starlette_exporter."""
    from starlette_exporter import PrometheusMiddleware, handle_metrics

    app = _fastapi()
    app.add_middleware(PrometheusMiddleware)
    app.add_route("/metrics", handle_metrics)
    return app


def with_stock_exporter() -> Flask:
    """OpenTelemetry's own exporter and instrumentation."""
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.metrics import set_meter_provider
    from opentelemetry.sdk.metrics import MeterProvider
    from prometheus_client import make_wsgi_app
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    app = _flask()
    set_meter_provider(MeterProvider([PrometheusMetricReader()]))
    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/metrics": make_wsgi_app()})  # type: ignore[method-assign]
    return app


def with_ours_and_flask_exporter() -> Flask:
    """Measured twice."""
    import otel_obs

    app = with_flask_exporter()
    return otel_obs.instrument(app)


def _flask() -> Flask:
    app = Flask("peer")
    app.get("/items/<int:number>")(flask_item)
    app.get("/health")(lambda: "ok")
    return app


def _fastapi() -> FastAPI:
    app = FastAPI()

    @app.get("/items/{number}")
    async def item(number: int) -> dict[str, Any]:
        return {"number": number}

    @app.get("/health")
    async def health() -> str:
        return "ok"

    return app
