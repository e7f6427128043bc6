# mypy: ignore-errors
"""Prometheus metrics of the image classifier."""

import time

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, Info, generate_latest

http_requests_total = Counter(
    "http_requests_total", "Total HTTP requests", ["method", "endpoint", "status_code"]
)
http_request_duration_seconds = Histogram(
    "http_request_duration_seconds",
    "HTTP request duration in seconds",
    ["method", "endpoint"],
    buckets=[0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0],
)
predictions_total = Counter("predictions_total", "Total predictions", ["status"])
inference_duration_seconds = Histogram(
    "inference_duration_seconds", "Inference duration", buckets=[0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
)
cache_hit_rate = Gauge("cache_hit_rate", "Cache hit rate (0.0 to 1.0)", multiprocess_mode="mostrecent")
cache_size_current = Gauge("cache_size_current", "Entries in the cache", multiprocess_mode="sum")
model_state = Gauge("model_state", "Model state (0=not_loaded, 1=loaded, 2=error)", multiprocess_mode="min")
app_info = Info("app", "Application information")


def set_app_info(version: str, environment: str) -> None:
    app_info.info({"version": version, "environment": environment})


def record_prediction(success: bool, cache_hit: bool, inference_time: float) -> None:
    status = "cache_hit" if cache_hit else "success" if success else "error"
    predictions_total.labels(status=status).inc()
    if not cache_hit:
        inference_duration_seconds.observe(inference_time)


class PrometheusMiddleware:
    """Counts every request of a WSGI application."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        started = time.time()
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/")

        def counting(status, headers, exc_info=None):
            code = status.split(" ")[0]
            http_requests_total.labels(method=method, endpoint=path, status_code=code).inc()
            return start_response(status, headers, exc_info)

        try:
            return self.app(environ, counting)
        finally:
            duration = http_request_duration_seconds.labels(method=method, endpoint=path)
            duration.observe(time.time() - started)


def get_metrics():
    return generate_latest(), CONTENT_TYPE_LATEST
