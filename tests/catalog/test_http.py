"""The rows of HTTP fit the layer that records them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from otel_obs.catalog import http as rows
from otel_obs.catalog.kit.naming import Naming
from otel_obs.http import profiles as http_naming
from otel_obs.http.observe import HttpInstruments
from tests.catalog.conftest import Service

OUTCOME = http_naming.Outcome("GET", "http", "1.1", "", "/items/{id}", 200, 200)
SOCKET = http_naming.Connection("ws", "", "/chat", "1000")
NAMINGS = {"classic": http_naming.ClassicProfile(), "semconv": http_naming.SemconvProfile()}


def record_everything(instruments: HttpInstruments, names: http_naming.Profile) -> None:
    """What the layer does for one request that fails, and one websocket."""
    labels = {
        "requests": names.total(OUTCOME),
        "duration": names.measured(OUTCOME),
        "in_progress": names.active("GET", "http", True),
        "first_byte": names.measured(OUTCOME),
        "request_size": names.measured(OUTCOME),
        "response_size": names.measured(OUTCOME),
        "errors": names.error("KeyError", "http"),
        "websocket_open": names.connection(SOCKET._replace(close_code="")),
        "websocket_connections": names.connection(SOCKET),
        "websocket_duration": names.connection(SOCKET),
        "websocket_messages": names.message(SOCKET._replace(close_code=""), "in"),
    }
    for field, instrument in instruments._asdict().items():
        if instrument is not None:
            handle = instrument.bind(labels[field])
            (handle.add if hasattr(handle, "add") else handle.record)(1)


@pytest.mark.parametrize("profile", ["classic", "semconv"])
def test_everything_that_the_layer_records_arrives(start: Callable[..., Service], profile: str) -> None:
    naming = Naming(profile=profile)
    service = start(naming)
    record_everything(HttpInstruments(**rows.instruments(naming, has_sizes=True)), NAMINGS[profile])
    assert service.provider.dropped == {}
    exposed = {line.partition("{")[0].partition(" ")[0] for line in service.samples()}
    expected = set(rows.families(naming).values())
    assert {name.removesuffix("_count").removesuffix("_sum") for name in exposed} == expected


@pytest.mark.parametrize("profile", ["classic", "semconv"])
def test_families_are_those_that_the_layer_knows(profile: str) -> None:
    known = dict(NAMINGS[profile].families)
    if profile == "semconv":
        del known["requests"]  # the count of the durations
        known["first_byte"] = "http_server_response_first_byte_seconds"
    assert rows.families(Naming(profile=profile)) == known


def test_sizes_are_recorded_on_request() -> None:
    assert "request_size" not in rows.instruments(Naming())
    assert "request_size" in rows.instruments(Naming(), has_sizes=True)


def test_the_classic_profile_names_requests_as_teams_do(start: Callable[..., Service]) -> None:
    naming = Naming(labels={"status_code": "status"})
    service = start(naming)
    record_everything(HttpInstruments(**rows.instruments(naming)), NAMINGS["classic"])
    assert service.family("http_requests_total") == [
        "# HELP http_requests_total Total HTTP requests",
        "# TYPE http_requests_total counter",
        'http_requests_total{endpoint="/items/{id}",method="GET",status="200"} 1.0',
    ]
    assert service.family("http_requests_in_progress")[2:] == ['http_requests_in_progress{method="GET"} 1.0']


def test_the_semconv_profile_has_the_attributes_of_the_conventions(start: Callable[..., Service]) -> None:
    naming = Naming(profile="semconv")
    service = start(naming)
    record_everything(HttpInstruments(**rows.instruments(naming)), NAMINGS["semconv"])
    labels = (
        'http_request_method="GET",http_response_status_code="200",http_route="/items/{id}",'
        'network_protocol_version="1.1",url_scheme="http"'
    )
    assert service.samples("http_server_request_duration_seconds_count") == [
        f"http_server_request_duration_seconds_count{{{labels}}} 1.0"
    ]
    assert service.samples("http_server_active_requests") == [
        'http_server_active_requests{http_request_method="GET",url_scheme="http"} 1.0'
    ]


def test_labels_of_a_teams_own_can_be_added(start: Callable[..., Service]) -> None:
    service = start()
    declaration = rows.http_requests_total.declaration
    rows.http_requests_total.extend("tenant")
    try:
        labels = {"method": "GET", "endpoint": "/", "status_code": "200", "tenant": "t1"}
        rows.http_requests_total.bind(labels).add(1)
        assert service.samples() == [
            'http_requests_total{endpoint="/",method="GET",status_code="200",tenant="t1"} 1.0'
        ]
    finally:
        rows.http_requests_total.declaration = declaration
        rows.http_requests_total._named = None
