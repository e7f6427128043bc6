"""A page says under which names its service measures."""

from __future__ import annotations

import pytest

from otel_obs.catalog import metrics
from otel_obs.catalog.kit.naming import Naming
from otel_obs.ops.naming_on_page import Recognised, recognise, service_name_on
from otel_obs.ops.service_facts import MonitoredService
from otel_obs.reading.text import read_page

OURS = "# TYPE otel_obs_series gauge\notel_obs_series 5\n"
REQUESTS = "http_requests_total"
DURATION = "http_request_duration_seconds"


def requests(labels: str, family: str = REQUESTS) -> str:
    return f"# TYPE {family} counter\n{family}{{{labels}}} 5\n"


def duration(*bounds: str, family: str = DURATION) -> str:
    buckets = "".join(
        f'{family}_bucket{{method="GET",endpoint="/a",le="{bound}"}} 1\n' for bound in (*bounds, "+Inf")
    )
    tail = f'{family}_count{{method="GET",endpoint="/a"}} 1\n{family}_sum{{method="GET",endpoint="/a"}} 1\n'
    return f"# TYPE {family} histogram\n{buckets}{tail}"


def naming(page: str, known: Naming | None = None) -> Naming:
    return recognise(read_page(page.encode()), known).naming


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ('method="GET",endpoint="/a",status_code="200"', {}),
        ('method="GET",endpoint="/a",status="200"', {"status_code": "status"}),
        ('method="GET",path="/a",code="404"', {"endpoint": "path", "status_code": "code"}),
        (
            'verb="POST",route="__unmatched__",code="5xx"',
            {"method": "verb", "endpoint": "route", "status_code": "code"},
        ),
        # A label that the service adds is nobody's new name, nor is one of two that could be it.
        ('method="GET",status_code="200",tenant="blue"', {}),
        ('method="GET",endpoint="/a",code="200",legacy="100"', {}),
        ('method="GET",endpoint="/a",status="200",otel_scope_name="x",tenant="a"', {"status_code": "status"}),
    ],
)
def test_labels_are_known_by_what_is_in_them(labels: str, expected: dict[str, str]) -> None:
    assert dict(naming(requests(labels)).labels) == expected


def test_bounds_are_those_of_the_page() -> None:
    assert naming(duration("0.1", "0.5", "30.0")).buckets == {DURATION: (0.1, 0.5, 30.0)}
    row = next(metric.declaration for _, metric in metrics() if metric.declaration.family == DURATION)
    assert naming(duration(*map(str, row.bounds))).buckets == {}


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (f"shop_{REQUESTS}", Naming(namespace="shop")),
        ("shop_http_server_request_duration_seconds", Naming(namespace="shop", profile="semconv")),
        ("http_server_request_duration_seconds", Naming(profile="semconv")),
        (REQUESTS, Naming()),
    ],
)
def test_a_namespace_and_a_profile_are_recognised(family: str, expected: Naming) -> None:
    page = f"{OURS}# TYPE {family} counter\n"

    assert naming(page) == expected


def test_a_name_of_another_library_is_no_namespace() -> None:
    page = requests('code="200",handler="/metrics"', f"prometheus_{REQUESTS}")

    assert recognise(read_page(page.encode())) == Recognised(Naming(), frozenset())


def test_what_is_set_goes_before_what_is_seen() -> None:
    known = Naming(labels={"endpoint": "path"}, buckets={DURATION: (0.5, 1.0)})

    found = naming(requests('method="GET",path="/a",status="200"') + duration("0.1"), known)

    assert found.labels == {"endpoint": "path", "status_code": "status"}
    assert found.buckets == {DURATION: (0.5, 1.0)}


@pytest.mark.parametrize(
    ("given", "told", "expected"),
    [("", "shop", "shop"), ("mine", "shop", "mine"), ("", "", "service")],
)
def test_the_job_is_what_the_service_calls_itself(given: str, told: str, expected: str) -> None:
    target = f'# TYPE target_info gauge\ntarget_info{{service_name="{told}"}} 1\n' if told else ""
    page = target + requests('method="GET",endpoint="/a",status_code="200"')

    assert service_name_on(read_page(page.encode())) == told
    assert MonitoredService.of_page(given, page).job == expected
