"""OpenTelemetry metrics for Flask and FastAPI services: one true `/metrics`, however many workers.

Three ways in:

- by the wrapper, without a changed line: `opentelemetry-instrument gunicorn app:app`;
- in one line: `app = otel_obs.instrument(app)`, for Flask, FastAPI, and any other WSGI or ASGI application;
- with a route of the application: `otel_obs.configure()` when it starts, and
  `body, content_type = otel_obs.get_metrics()` in the route.

Metrics that an application records by hand are in `otel_obs.catalog`; exceptions, in `otel_obs.errors`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_obs import errors
    from otel_obs.assembly.applications import PrometheusMiddleware, instrument
    from otel_obs.assembly.exposing import get_metrics
    from otel_obs.assembly.pipeline import Pipeline
    from otel_obs.assembly.setup import configure, shutdown
    from otel_obs.assembly.stock_place import PrometheusReader
    from otel_obs.catalog.app import set_app_info
    from otel_obs.catalog.cache import update_cache_metrics
    from otel_obs.catalog.detection import record_detection
    from otel_obs.catalog.errors import track_errors
    from otel_obs.catalog.model import record_prediction, set_model_state
    from otel_obs.http.observe import ExtraLabels
    from otel_obs.sdk.timing import Timer, track_time
    from otel_obs.tracing import traced

    __version__: str

__all__ = [
    "ExtraLabels",
    "Pipeline",
    "PrometheusMiddleware",
    "PrometheusReader",
    "Timer",
    "__version__",
    "configure",
    "errors",
    "get_metrics",
    "instrument",
    "record_detection",
    "record_prediction",
    "set_app_info",
    "set_model_state",
    "shutdown",
    "traced",
    "track_errors",
    "track_time",
    "update_cache_metrics",
]

_MODULES = {
    "ExtraLabels": "http.observe",
    "Pipeline": "assembly.pipeline",
    "PrometheusMiddleware": "assembly.applications",
    "PrometheusReader": "assembly.stock_place",
    "Timer": "sdk.timing",
    "configure": "assembly.setup",
    "get_metrics": "assembly.exposing",
    "instrument": "assembly.applications",
    "record_detection": "catalog.detection",
    "record_prediction": "catalog.model",
    "set_app_info": "catalog.app",
    "set_model_state": "catalog.model",
    "shutdown": "assembly.setup",
    "track_errors": "catalog.errors",
    "traced": "tracing",
    "track_time": "sdk.timing",
    "update_cache_metrics": "catalog.cache",
}


if not TYPE_CHECKING:  # or type checkers would accept any misspelt name, as Any

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first used: the wrapper loads this package in every process."""
        if name == "__version__":
            from importlib.metadata import version

            return version("otel-obs")
        if name == "errors":
            return import_module(f"{__name__}.errors")
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
