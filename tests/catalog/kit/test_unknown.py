"""Names in the settings that no metric has are said, once, with the one that was meant."""

from __future__ import annotations

from otel_obs.catalog.kit.unknown import names_without_effect
from otel_obs.settings import Settings


def said(**options: object) -> list[str]:
    return list(names_without_effect(Settings().with_options(**options)))


def test_nothing_is_said_of_names_that_are_there() -> None:
    assert said() == []
    assert (
        said(namespace="shop", names={"http_requests_total": "a_total", "shop_llm_calls_total": "b_total"})
        == []
    )
    assert said(labels={"status_code": "code", "method": "verb"}) == []
    assert (
        said(names={"http_request_duration_seconds": "latency_seconds"}, buckets={"latency_seconds": [1, 2]})
        == []
    )
    assert said(buckets={"http_request_duration_seconds": [1, 2]}) == []


def test_a_name_that_no_family_has_is_said() -> None:
    lines = said(
        names={"http_request_total": "a_total"},
        labels={"statuscode": "code"},
        buckets={"http_requests_total": [1, 2], "zzzzzzzz": [1]},
    )
    assert lines[0] == (
        "OTEL_OBS_NAMES names 'http_request_total', but no ready metric has such a family "
        "(did you mean http_requests_total?): it has no effect, nor on metrics of your own, "
        "which views change"
    )
    assert [line.split(",")[0] for line in lines[1:]] == [
        "OTEL_OBS_LABELS names 'statuscode'",
        "OTEL_OBS_BUCKETS names 'http_requests_total'",
        "OTEL_OBS_BUCKETS names 'zzzzzzzz'",
    ]
