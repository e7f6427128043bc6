"""The observer: names, bounds, and families that somebody else owns."""

from __future__ import annotations

from typing import Any

import pytest

from otel_obs.errors import DeclarationError
from otel_obs.http import observe
from otel_obs.http.observe import ExtraLabels
from otel_obs.http.profiles import ClassicProfile, Outcome, SemconvProfile
from otel_obs.http.wsgi import WsgiMiddleware
from tests.http import drive
from tests.http.recorded import Recorded

NO_LABEL = "cannot be a label of requests; use letters, digits and _, and no name of Prometheus' own"


def unmatched(environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [])
    return [b""]


def test_protocol_versions_are_the_few_that_exist() -> None:
    recorded = Recorded(SemconvProfile())
    for major in range(10):
        for minor in range(10):
            drive.wsgi(WsgiMiddleware(unmatched, recorded.observer), SERVER_PROTOCOL=f"HTTP/{major}.{minor}")
    versions = {labels.get("network.protocol.version") for labels, _ in recorded.of("duration")}
    assert versions == {None, "0.9", "1.0", "1.1", "2.0", "3.0"}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "REMEMBERED", 10)
    recorded = Recorded()
    entry = recorded.observer.entry("GET")
    for status in range(200, 300):
        recorded.observer.finish(entry, ("", status), "", "/x", status, 0.1)
    assert len(entry.handles) <= 10
    assert sum(recorded.requests().values()) == 100


def test_a_server_error_has_the_conventions_attributes() -> None:
    recorded = Recorded(SemconvProfile())
    entry = recorded.observer.entry("GET", "https", "HTTP/1.1")
    outcome = Outcome("GET", "https", "1.1", "/prefix", "/x/{y}", 500, 500, "mine.Error")
    recorded.observer.finish_as(entry, outcome, 0.1)
    assert [labels for labels, _ in recorded.of("duration")] == [
        {
            "http.request.method": "GET",
            "url.scheme": "https",
            "network.protocol.version": "1.1",
            "http.route": "/prefix/x/{y}",
            "http.response.status_code": 500,
            "error.type": "mine.Error",
        }
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("tenant", "'tenant' is one text and no tuple of names; write ('tenant',)"),
        (("ten-ant",), f"'ten-ant' {NO_LABEL}"),
        (("le",), f"'le' {NO_LABEL}"),
        (("__name",), f"'__name' {NO_LABEL}"),
        (("a", "b", "a"), "'a, b, a' names a label twice"),
    ],
)
def test_a_name_that_cannot_be_a_label_is_refused(names: Any, message: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        ExtraLabels(names, lambda *_: {})
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("naming", "name"), [(ClassicProfile(), "status_code"), (SemconvProfile(), "error.type")]
)
def test_a_name_that_requests_have_already_is_refused(naming: Any, name: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        Recorded(naming, extra=ExtraLabels((name,), lambda *_: {}))
    assert str(raised.value) == f"'{name}' is a label of every request already; give yours another name"


def test_a_family_that_somebody_else_owns_is_not_recorded() -> None:
    recorded = Recorded()
    app = WsgiMiddleware(unmatched, recorded.observer)
    drive.wsgi(app)
    assert recorded.observer.disown("http_requests_total")
    assert not recorded.observer.disown("http_requests_total")
    assert not recorded.observer.disown("somebody_elses")
    drive.wsgi(app)
    assert sum(recorded.requests().values()) == 1
    assert recorded.durations()["GET", "__unmatched__"].count == 2


def test_a_gauge_that_somebody_else_owns_ends_balanced() -> None:
    recorded = Recorded()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        recorded.observer.disown("http_requests_in_progress")
        return unmatched(environ, start_response)

    measured = WsgiMiddleware(app, recorded.observer)
    drive.wsgi(measured)
    drive.wsgi(measured)
    assert recorded.in_progress() == 0


def test_a_method_in_progress_has_its_name_once_a_route_has_answered_it() -> None:
    recorded = Recorded()
    entry = recorded.observer.entry("DELETE")
    assert recorded.naming.active("DELETE", "http", entry.served) == {"method": "_OTHER"}
    recorded.observer.finish(entry, ("/x", 200), "", "/x", 200, 0.1)
    assert recorded.naming.active("DELETE", "http", entry.served) == {"method": "DELETE"}
