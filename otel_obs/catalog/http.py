"""HTTP requests and websockets; the HTTP layer records them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_obs.catalog import errors
from otel_obs.catalog.kit.kinds import CounterMetric, HistogramMetric, UpDownCounterMetric
from otel_obs.catalog.kit.metric import Metric
from otel_obs.catalog.kit.naming import ANY, Naming, Semconv

__all__ = [
    "http_request_duration_seconds",
    "http_request_size_bytes",
    "http_requests_in_progress",
    "http_requests_total",
    "http_response_first_byte_seconds",
    "http_response_size_bytes",
    "websocket_connection_duration_seconds",
    "websocket_connections_open",
    "websocket_connections_total",
    "websocket_messages_total",
]

_REQUEST = {"method": ANY, "endpoint": ANY}
_SIZES = (100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
_SEMCONV = {
    "method": "http.request.method",
    "endpoint": "http.route",
    "status_code": "http.response.status_code",
    "scheme": "url.scheme",
    "version": "network.protocol.version",
    "error_type": "error.type",
}
_WEBSOCKET = {"endpoint": "http.route", "scheme": "url.scheme"}

http_request_duration_seconds = HistogramMetric(
    "http_request_duration_seconds",
    "HTTP request duration in seconds",
    unit="s",
    attributes=_REQUEST,
    bounds=(0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30),
    semconv=Semconv(
        "http.server.request.duration",
        _SEMCONV,
        "s",
        bounds=(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
    ),
)
http_requests_total = CounterMetric(
    "http_requests_total",
    "Total HTTP requests",
    unit="{request}",
    attributes={**_REQUEST, "status_code": ANY},
    semconv=Semconv(attributes=_SEMCONV, count_of=http_request_duration_seconds.declaration),
)
http_requests_in_progress = UpDownCounterMetric(
    "http_requests_in_progress",
    "HTTP requests in progress",
    unit="{request}",
    attributes={"method": ANY},
    semconv=Semconv(
        "http.server.active_requests",
        {"method": "http.request.method", "scheme": "url.scheme"},
        "{request}",
    ),
)
http_response_first_byte_seconds = HistogramMetric(
    "http_response_first_byte_seconds",
    "Seconds until the first byte of the response body",
    unit="s",
    attributes=_REQUEST,
    bounds=http_request_duration_seconds.declaration.bounds,
    semconv=Semconv(
        "http.server.response.first_byte",
        _SEMCONV,
        "s",
        bounds=(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
    ),
)
http_request_size_bytes = HistogramMetric(
    "http_request_size_bytes",
    "Size of HTTP request bodies in bytes",
    unit="By",
    attributes=_REQUEST,
    bounds=_SIZES,
    semconv=Semconv("http.server.request.body.size", _SEMCONV, "By", bounds=_SIZES),
)
http_response_size_bytes = HistogramMetric(
    "http_response_size_bytes",
    "Size of HTTP response bodies in bytes",
    unit="By",
    attributes=_REQUEST,
    bounds=_SIZES,
    semconv=Semconv("http.server.response.body.size", _SEMCONV, "By", bounds=_SIZES),
)
websocket_connections_open = UpDownCounterMetric(
    "websocket_connections_open",
    "Open websocket connections",
    unit="{connection}",
    attributes={"endpoint": ANY},
    semconv=Semconv("websocket.connections.open", _WEBSOCKET, "{connection}"),
)
websocket_connections_total = CounterMetric(
    "websocket_connections_total",
    "Total websocket connections",
    unit="{connection}",
    attributes={"endpoint": ANY, "close_code": ANY},
    semconv=Semconv(
        "websocket.connections", {**_WEBSOCKET, "close_code": "websocket.close_code"}, "{connection}"
    ),
)
websocket_connection_duration_seconds = HistogramMetric(
    "websocket_connection_duration_seconds",
    "Seconds that websocket connections were open",
    unit="s",
    attributes={"endpoint": ANY},
    bounds=(1, 5, 15, 60, 300, 900, 3600, 14400),
    semconv=Semconv(
        "websocket.connection.duration", {**_WEBSOCKET, "close_code": "websocket.close_code"}, "s"
    ),
)
websocket_messages_total = CounterMetric(
    "websocket_messages_total",
    "Total websocket messages",
    unit="{message}",
    attributes={"endpoint": ANY, "direction": ("in", "out")},
    semconv=Semconv("websocket.messages", {**_WEBSOCKET, "direction": "websocket.direction"}, "{message}"),
)

_FIELDS: Mapping[str, Metric[Any]] = {
    "requests": http_requests_total,
    "duration": http_request_duration_seconds,
    "in_progress": http_requests_in_progress,
    "first_byte": http_response_first_byte_seconds,
    "request_size": http_request_size_bytes,
    "response_size": http_response_size_bytes,
    "errors": errors.errors_total,
    "websocket_open": websocket_connections_open,
    "websocket_connections": websocket_connections_total,
    "websocket_duration": websocket_connection_duration_seconds,
    "websocket_messages": websocket_messages_total,
}


def instruments(naming: Naming, has_sizes: bool = False) -> dict[str, Any]:
    """The metrics that the HTTP layer records to, by the fields of its `HttpInstruments`.

    Args:
        naming: The naming that is installed.
        has_sizes: Whether the sizes of bodies are recorded.

    Returns:
        Metrics; those that the profile does not record are left out.
    """
    skipped = () if has_sizes else ("request_size", "response_size")
    return {
        field: metric
        for field, metric in _FIELDS.items()
        if field not in skipped and naming.apply(metric.declaration).is_recorded
    }


def families(naming: Naming) -> dict[str, str]:
    """The Prometheus family of each of `instruments`, by the same fields."""
    return {
        field: named.family
        for field, metric in _FIELDS.items()
        if (named := naming.apply(metric.declaration)).is_recorded
    }
