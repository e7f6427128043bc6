"""OpenTelemetry metrics for Flask and FastAPI services: one true `/metrics`, however many workers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_obs.assembly.applications import PrometheusMiddleware, instrument
    from otel_obs.assembly.page import get_metrics
    from otel_obs.assembly.setup import configure, shutdown
    from otel_obs.assembly.stock_place import PrometheusReader
    from otel_obs.catalog.app import set_app_info
    from otel_obs.catalog.cache import update_cache_metrics
    from otel_obs.catalog.detection import record_detection
    from otel_obs.catalog.errors import track_errors
    from otel_obs.catalog.model import record_prediction, set_model_state
    from otel_obs.http.observe import ExtraLabels
    from otel_obs.sdk.timing import Timer, track_time

__all__ = [
    "ExtraLabels",
    "PrometheusMiddleware",
    "PrometheusReader",
    "Timer",
    "configure",
    "get_metrics",
    "instrument",
    "record_detection",
    "record_prediction",
    "set_app_info",
    "set_model_state",
    "shutdown",
    "track_errors",
    "track_time",
    "update_cache_metrics",
]

_MODULES = {
    "ExtraLabels": "http.observe",
    "PrometheusMiddleware": "assembly.applications",
    "PrometheusReader": "assembly.stock_place",
    "Timer": "sdk.timing",
    "configure": "assembly.setup",
    "get_metrics": "assembly.page",
    "instrument": "assembly.applications",
    "record_detection": "catalog.detection",
    "record_prediction": "catalog.model",
    "set_app_info": "catalog.app",
    "set_model_state": "catalog.model",
    "shutdown": "assembly.setup",
    "track_errors": "catalog.errors",
    "track_time": "sdk.timing",
    "update_cache_metrics": "catalog.cache",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the wrapper loads this package in every process."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
