"""Services that `throughput` and `truth` start: a trivial handler, by the library that measures it.

`KIND_FRAMEWORK()` makes one, such as `exporter_flask`; nothing of the others is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI
    from flask import Flask


def bare_flask() -> Flask:
    """Nothing measures it."""
    from flask import Flask

    app = Flask(__name__)
    app.add_url_rule("/items/<int:number>", "item", lambda number: "ok")
    return app


def ours_flask() -> Flask:
    """Measured by otel-obs."""
    import otel_obs

    return otel_obs.instrument(bare_flask())


def exporter_flask() -> Flask:
    """Measured by prometheus_flask_exporter; over workers where its directory is set."""
    import os

    from prometheus_flask_exporter import PrometheusMetrics
    from prometheus_flask_exporter.multiprocess import GunicornInternalPrometheusMetrics

    app = bare_flask()
    over_workers = "PROMETHEUS_MULTIPROC_DIR" in os.environ
    (GunicornInternalPrometheusMetrics if over_workers else PrometheusMetrics)(app, group_by="url_rule")
    return app


def stock_flask() -> Flask:
    """Measured by OpenTelemetry, with its exporter's metrics at `/metrics`."""
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from prometheus_client import make_wsgi_app
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    app = bare_flask()
    instrumentor: Any = FlaskInstrumentor()
    instrumentor.instrument_app(app, meter_provider=_stock_provider())
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/metrics": make_wsgi_app()})  # type: ignore[method-assign]
    return app


def bare_fastapi() -> FastAPI:
    """Nothing measures it."""
    from fastapi import FastAPI, Response

    app = FastAPI()

    @app.get("/items/{number}")
    async def item(number: int) -> Response:
        return Response("ok")

    return app


def ours_fastapi() -> FastAPI:
    """Measured by otel-obs."""
    import otel_obs

    return otel_obs.instrument(bare_fastapi())


def instrumentator_fastapi() -> FastAPI:
    """Measured by prometheus-fastapi-instrumentator."""
    from prometheus_fastapi_instrumentator import Instrumentator

    app = bare_fastapi()
    Instrumentator().instrument(app).expose(app)
    return app


def starlette_fastapi() -> FastAPI:
    """Measured by starlette_exporter."""
    from starlette_exporter import PrometheusMiddleware, handle_metrics

    app = bare_fastapi()
    app.add_middleware(PrometheusMiddleware, group_paths=True)
    app.add_route("/metrics", handle_metrics)
    return app


def stock_fastapi() -> FastAPI:
    """Measured by OpenTelemetry, with its exporter's metrics at `/metrics`."""
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from prometheus_client import make_asgi_app

    app = bare_fastapi()
    FastAPIInstrumentor.instrument_app(app, meter_provider=_stock_provider())
    app.mount("/metrics", make_asgi_app())
    return app


def _stock_provider() -> Any:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.sdk.metrics import MeterProvider

    return MeterProvider([PrometheusMetricReader()])
