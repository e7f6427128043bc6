"""The attribute names of requests: the classic profile, and OpenTelemetry's semantic conventions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

OTHER = "_OTHER"
UNMATCHED = "__unmatched__"
"""The endpoint of a request that no route matched: it was refused with a 3xx or 4xx status."""
UNKNOWN = "__unknown__"
"""The endpoint of a request that was answered otherwise, where the framework tells no route."""
USUAL_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
KNOWN_METHODS = USUAL_METHODS | {"CONNECT", "QUERY", "TRACE"}

ProfileLabels = dict[str, Any]


class Outcome(NamedTuple):
    """How one request ended.

    `route` is the template that matched, None where none did; `root` is the root path before it. `status` is
    the outcome: 499 for a client that disconnected, 500 for an exception, else the status that was sent.
    `sent` is the status that was sent, None where none was. `error_type` is set where an exception or a
    disconnect ended the request.
    """

    method: str
    scheme: str
    version: str
    root: str
    route: str | None
    status: int
    sent: int | None
    error_type: str = ""


class Connection(NamedTuple):
    """One websocket. `close_code` is "" until it ends."""

    scheme: str
    root: str
    route: str | None
    close_code: str = ""


class Profile(Protocol):
    """The attributes of each instrument."""

    @property
    def families(self) -> Mapping[str, str]:
        """The family that each instrument becomes, by the instrument's field in `HttpInstruments`."""

    @property
    def has_root(self) -> bool:
        """Whether a route is named with the server's root path before it."""

    @property
    def names_connection(self) -> bool:
        """Whether the scheme or the protocol's version is an attribute."""

    @property
    def names_errors(self) -> bool:
        """Whether the exception that ended a request is an attribute of it."""

    def active(self, method: str, scheme: str, served: bool) -> ProfileLabels:
        """Attributes of a request in progress; *served*: whether a route has ever answered that method."""

    def total(self, outcome: Outcome) -> ProfileLabels:
        """Attributes of the counter of requests."""

    def measured(self, outcome: Outcome) -> ProfileLabels:
        """Attributes of durations and sizes."""

    def connection(self, connection: Connection) -> ProfileLabels:
        """Attributes of a websocket."""

    def message(self, connection: Connection, direction: str) -> ProfileLabels:
        """Attributes of a websocket's messages; *direction* is `in` or `out`."""

    def error(self, error_type: str, component: str) -> ProfileLabels:
        """Attributes of an unhandled exception."""


CLASSIC_FAMILIES: Mapping[str, str] = {
    "requests": "http_requests_total",
    "duration": "http_request_duration_seconds",
    "in_progress": "http_requests_in_progress",
    "first_byte": "http_response_first_byte_seconds",
    "request_size": "http_request_size_bytes",
    "response_size": "http_response_size_bytes",
    "errors": "errors_total",
    "websocket_open": "websocket_connections_open",
    "websocket_connections": "websocket_connections_total",
    "websocket_duration": "websocket_connection_duration_seconds",
    "websocket_messages": "websocket_messages_total",
}

SEMCONV_FAMILIES: Mapping[str, str] = {
    **CLASSIC_FAMILIES,
    "duration": "http_server_request_duration_seconds",
    "in_progress": "http_server_active_requests",
    "request_size": "http_server_request_body_size_bytes",
    "response_size": "http_server_response_body_size_bytes",
}


def _is_refusal(status: int) -> bool:
    """Whether a status can mean that no route matched: a redirect or a client error, but not 499."""
    return 300 <= status < 499


@dataclass(frozen=True)
class ClassicProfile:
    """`method`, `endpoint`, `status_code`.

    An unusual method is `_OTHER` unless a route has answered it, so that a scanner which tries all methods
    does not create a series for each.
    """

    families: Mapping[str, str] = field(default_factory=lambda: CLASSIC_FAMILIES)
    has_root: bool = False
    names_connection: bool = False
    names_errors: bool = False

    def active(self, method: str, scheme: str, served: bool) -> ProfileLabels:
        """Attributes of a request in progress."""
        return {"method": method if served or method in ("GET", "POST") else OTHER}

    def total(self, outcome: Outcome) -> ProfileLabels:
        """Attributes of the counter of requests."""
        return {**self.measured(outcome), "status_code": str(outcome.status)}

    def measured(self, outcome: Outcome) -> ProfileLabels:
        """Attributes of durations and sizes."""
        route = outcome.route
        if route is None:
            method = outcome.method if outcome.method in USUAL_METHODS else OTHER
            return {"method": method, "endpoint": UNMATCHED if _is_refusal(outcome.status) else UNKNOWN}
        return {"method": outcome.method, "endpoint": route}

    def connection(self, connection: Connection) -> ProfileLabels:
        """Attributes of a websocket."""
        route, code = connection.route, connection.close_code
        is_refused = len(code) == 3 and _is_refusal(int(code))
        labels = {"endpoint": (UNMATCHED if is_refused else UNKNOWN) if route is None else route}
        return {**labels, "close_code": connection.close_code} if connection.close_code else labels

    def message(self, connection: Connection, direction: str) -> ProfileLabels:
        """Attributes of a websocket's messages."""
        return {**self.connection(connection), "direction": direction}

    def error(self, error_type: str, component: str) -> ProfileLabels:
        """Attributes of an unhandled exception."""
        return {"error_type": error_type, "component": component}


@dataclass(frozen=True)
class SemconvProfile(ClassicProfile):
    """The attributes of OpenTelemetry's stable HTTP conventions; the status is the one that was sent.

    Source: OpenTelemetry semantic conventions, HTTP metrics, `http.server.request.duration`.
    """

    families: Mapping[str, str] = field(default_factory=lambda: SEMCONV_FAMILIES)
    has_root: bool = True
    names_connection: bool = True
    names_errors: bool = True

    def active(self, method: str, scheme: str, served: bool) -> ProfileLabels:
        """Attributes of a request in progress."""
        return {"http.request.method": method, "url.scheme": scheme}

    def total(self, outcome: Outcome) -> ProfileLabels:
        """Attributes of the counter: those of the durations, as it counts them."""
        return self.measured(outcome)

    def measured(self, outcome: Outcome) -> ProfileLabels:
        """Attributes of durations and sizes."""
        labels: ProfileLabels = {"http.request.method": outcome.method, "url.scheme": outcome.scheme}
        if outcome.version:
            labels["network.protocol.version"] = outcome.version
        if outcome.route is not None:
            labels["http.route"] = outcome.root + outcome.route
        if outcome.sent is not None:
            labels["http.response.status_code"] = outcome.sent
        error_type = outcome.error_type or (str(outcome.sent) if (outcome.sent or 0) >= 500 else "")
        return {**labels, "error.type": error_type} if error_type else labels

    def connection(self, connection: Connection) -> ProfileLabels:
        """Attributes of a websocket: the conventions define none, so these follow their rules."""
        labels: ProfileLabels = {"url.scheme": connection.scheme}
        if connection.route is not None:
            labels["http.route"] = connection.root + connection.route
        return {**labels, "websocket.close_code": connection.close_code} if connection.close_code else labels

    def message(self, connection: Connection, direction: str) -> ProfileLabels:
        """Attributes of a websocket's messages."""
        return {**self.connection(connection), "websocket.direction": direction}
