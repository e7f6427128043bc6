# mypy: ignore-errors
"""Prometheus metrics of the review chatbot."""

import functools
import inspect
import time

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from starlette.middleware.base import BaseHTTPMiddleware

NAMESPACE = "reviews"

http_requests_total = Counter("http_requests_total", "Total HTTP requests", ["method", "endpoint", "status"])
dialogue_sessions_total = Counter("dialogue_sessions_total", "Sessions", ["category"])
retrieval_duration_seconds = Histogram(
    "retrieval_duration_seconds",
    "Retrieval duration",
    ["category"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0),
)
scoring_duration_seconds = Histogram("scoring_duration", "Scoring duration", unit="seconds")
evidence_count = Histogram(
    "evidence_count", "Evidence found", ["category"], namespace=NAMESPACE, buckets=(0, 1, 2, 3, 5, 10, 20, 50)
)
active_evidence = Gauge(
    "active_evidence", "Evidence in use", ["category", "session_id"], multiprocess_mode="livesum"
)
requests_in_progress = Gauge("requests_in_progress", "Requests in progress", multiprocess_mode="livesum")


class PrometheusMiddleware(BaseHTTPMiddleware):
    """Counts requests by route."""

    async def dispatch(self, request, call_next):
        if request.url.path == "/metrics":
            return await call_next(request)
        with requests_in_progress.track_inprogress():
            response = await call_next(request)
        route = request.scope.get("route")
        endpoint = route.path if route else "unmatched"
        http_requests_total.labels(request.method, endpoint, response.status_code).inc()
        return response


class Timer:
    """Times a block and observes it."""

    def __init__(self, histogram, labels=None):
        self.histogram = histogram.labels(**labels) if labels else histogram

    def __enter__(self):
        self.start = time.perf_counter()
        return self

    def __exit__(self, *exc):
        self.duration = time.perf_counter() - self.start
        self.histogram.observe(self.duration)


def track_time(histogram, labels=None):
    """Times every call of a function or coroutine function."""

    def decorate(function):
        @functools.wraps(function)
        async def coroutine(*args, **kwargs):
            with Timer(histogram, labels):
                return await function(*args, **kwargs)

        @functools.wraps(function)
        def plain(*args, **kwargs):
            with Timer(histogram, labels):
                return function(*args, **kwargs)

        return coroutine if inspect.iscoroutinefunction(function) else plain

    return decorate


def sessions_so_far(category):
    return REGISTRY.get_sample_value("dialogue_sessions_total", {"category": category}) or 0.0
