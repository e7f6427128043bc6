from __future__ import annotations

import pytest

from otel_obs.catalog import metrics
from otel_obs.catalog.http import (
    http_request_duration_seconds,
    http_requests_in_progress,
    http_requests_total,
)
from otel_obs.catalog.kit.kinds import CounterMetric, GaugeMetric, HistogramMetric
from otel_obs.catalog.kit.naming import Declaration, Naming
from otel_obs.catalog.llm import llm_calls_total, llm_tokens_total
from otel_obs.catalog.process import python_info
from otel_obs.cells.layout import Kind, Stream
from otel_obs.errors import DeclarationError, SettingError
from otel_obs.exposition import family_name
from otel_obs.settings import Settings

REQUESTS = http_requests_total.declaration
DURATION = http_request_duration_seconds.declaration
SEMCONV_LABELS = (
    "http_request_method",
    "http_route",
    "http_response_status_code",
    "url_scheme",
    "network_protocol_version",
    "error_type",
)


@pytest.mark.parametrize("profile", ["classic", "semconv"])
@pytest.mark.parametrize("namespace", ["", "shop"])
def test_every_row_is_exposed_under_the_name_that_naming_says(profile: str, namespace: str) -> None:
    naming = Naming(namespace=namespace, profile=profile)
    for _, metric in metrics():
        named = naming.apply(metric.declaration)
        if named.is_recorded:
            assert family_name(Stream(named.kind, named.name, named.unit)) == named.family


def test_every_row_has_its_declared_name_under_the_classic_profile() -> None:
    assert [
        metric.declaration.family
        for _, metric in metrics()
        if Naming().apply(metric.declaration).family != metric.declaration.family
    ] == []


def test_the_namespace_goes_before_every_family_but_the_standard_ones() -> None:
    naming = Naming(namespace="sparklio")
    assert naming.apply(REQUESTS).family == "sparklio_http_requests_total"
    assert naming.apply(REQUESTS).name == "sparklio_http_requests"
    assert naming.apply(python_info.declaration).family == "python_info"


def test_families_are_renamed() -> None:
    naming = Naming(
        names={
            "http_requests_total": "flask_http_request_total",
            "http_request_duration_seconds": "latency_seconds",
        }
    )
    assert naming.apply(REQUESTS).name == "flask_http_request"
    assert naming.apply(REQUESTS).family == "flask_http_request_total"
    assert naming.apply(DURATION)[:4] == (Kind.HISTOGRAM, "latency", "s", "latency_seconds")


def test_a_new_name_without_the_unit_stays_without_it() -> None:
    naming = Naming(names={"http_request_duration_seconds": "http_latency"})
    assert naming.apply(DURATION)[:4] == (Kind.HISTOGRAM, "http_latency", "", "http_latency")


def test_a_new_name_gets_the_namespace_unless_the_old_one_is_given_with_it() -> None:
    before = Naming("shop", names={"http_requests_total": "calls_total"})
    assert before.apply(REQUESTS).family == "shop_calls_total"
    exact = Naming("shop", names={"shop_http_requests_total": "calls_total"})
    assert exact.apply(REQUESTS).family == "calls_total"


@pytest.mark.parametrize(
    "known",
    [
        "http_request_duration_seconds",
        "shop_http_request_duration_seconds",
        "web_seconds",
        "shop_web_seconds",
    ],
)
def test_buckets_are_found_under_any_name_of_the_family(known: str) -> None:
    names = {"http_request_duration_seconds": "web_seconds"} if "web" in known else {}
    naming = Naming("shop", names=names, buckets={known: (0.1, 1.0)})
    assert naming.apply(DURATION).bounds == (0.1, 1.0)


def test_labels_are_renamed_wherever_they_are() -> None:
    naming = Naming(labels={"status_code": "status", "endpoint": "path"})
    assert naming.apply(REQUESTS).labels == ("method", "path", "status")
    assert naming.apply(DURATION).labels == ("method", "path")


def test_declared_and_new_names_of_labels_are_both_accepted() -> None:
    named = Naming(labels={"status_code": "status"}).apply(REQUESTS)
    expected = {"method": "GET", "endpoint": "/", "status": "200"}
    assert named.translate({"method": "GET", "endpoint": "/", "status_code": "200"}) == expected
    assert named.translate({"method": "GET", "endpoint": "/", "status": "200"}) == expected


def test_labels_that_collide_are_refused() -> None:
    naming = Naming(labels={"provider": "status"})
    with pytest.raises(SettingError) as caught:
        naming.apply(llm_calls_total.declaration)
    assert str(caught.value) == (
        "OTEL_OBS_LABELS='provider=status' gives llm_calls_total the label 'status' twice"
    )


def test_undeclared_attributes_and_values_outside_a_closed_set_are_refused() -> None:
    named = Naming().apply(llm_calls_total.declaration)
    with pytest.raises(DeclarationError) as caught:
        named.translate({"provider": "x", "state": "success"})
    assert str(caught.value) == (
        "'llm_calls_total' got attributes ['provider', 'state']; it declares ['provider', 'status']"
    )
    with pytest.raises(DeclarationError) as caught:
        named.translate({"provider": "x", "status": "ok"})
    assert str(caught.value) == (
        "'llm_calls_total' got status='ok'; it declares ['success', 'error', 'fallback']"
    )


def test_semconv_names_what_the_conventions_name() -> None:
    naming = Naming(profile="semconv")
    duration = naming.apply(DURATION)
    assert (duration.name, duration.unit) == ("http.server.request.duration", "s")
    assert duration.family == "http_server_request_duration_seconds"
    assert duration.labels == SEMCONV_LABELS
    assert list(duration.bounds) == [
        *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
    ]
    facts = {"method": "GET", "endpoint": "/", "status_code": 200, "scheme": "http"}
    expected = {
        "http.request.method": "GET",
        "http.route": "/",
        "http.response.status_code": 200,
        "url.scheme": "http",
    }
    assert duration.translate(facts) == expected
    assert duration.translate(expected) == expected
    assert naming.apply(http_requests_in_progress.declaration).family == "http_server_active_requests"


def test_semconv_has_no_counter_of_requests_but_the_count_of_their_durations() -> None:
    named = Naming("shop", profile="semconv").apply(REQUESTS)
    assert not named.is_recorded
    assert named.sample == "shop_http_server_request_duration_seconds_count"
    assert named.labels == SEMCONV_LABELS


def test_semconv_makes_tokens_a_histogram_with_values_of_its_own() -> None:
    named = Naming(profile="semconv").apply(llm_tokens_total.declaration)
    assert (named.kind, named.family) == (Kind.HISTOGRAM, "gen_ai_client_token_usage")
    assert named.sample == "gen_ai_client_token_usage_sum"
    assert named.translate({"provider": "openai", "type": "prompt"}) == {
        "gen_ai.provider.name": "openai",
        "gen_ai.token.type": "input",
    }
    assert named.translate({"gen_ai.token.type": "output"}) == {"gen_ai.token.type": "output"}


def test_semconv_names_can_be_renamed_too() -> None:
    naming = Naming(
        profile="semconv",
        labels={"status_code": "status"},
        names={"http_server_request_duration_seconds": "web_seconds"},
        buckets={"http_server_request_duration_seconds": (1.0,)},
    )
    named = naming.apply(DURATION)
    assert (named.family, named.bounds) == ("web_seconds", (1.0,))
    assert named.translate({"http.response.status_code": 200}) == {"status": 200}


def test_a_share_names_its_counters_as_they_are_exposed() -> None:
    hits = CounterMetric("hits_total", "Hits")
    misses = CounterMetric("misses_total", "Misses")
    rate = GaugeMetric("hit_rate", "Rate", share=(hits, misses))
    naming = Naming("shop", names={"misses_total": "failures_total"})
    assert naming.apply(rate.declaration).merge == "share:shop_hits,shop_failures"


def test_naming_comes_from_settings() -> None:
    settings = Settings.from_env(
        {
            "OTEL_OBS_NAMESPACE": "shop",
            "OTEL_OBS_LABELS": "status_code=status",
            "OTEL_OBS_NAMES": "a_total=b_total",
            "OTEL_OBS_BUCKETS": "c_seconds=.1,1",
            "OTEL_OBS_PROFILE": "semconv",
        }
    )
    assert Naming.from_settings(settings) == Naming(
        "shop", {"status_code": "status"}, {"a_total": "b_total"}, {"c_seconds": (0.1, 1.0)}, "semconv"
    )


def test_a_row_that_could_not_be_exposed_under_its_name_is_refused() -> None:
    with pytest.raises(DeclarationError) as caught:
        CounterMetric("hits", "Hits")
    assert str(caught.value) == "'hits' is a counter; name it hits_total"
    with pytest.raises(DeclarationError) as caught:
        HistogramMetric("latency", "Latency", unit="s", bounds=(1,))
    assert str(caught.value) == "'latency' has the unit 's'; end its name in _seconds"
    with pytest.raises(DeclarationError) as caught:
        Declaration(Kind.HISTOGRAM, "sizes", "Sizes", bounds=(2, 1))
    assert str(caught.value) == "'sizes' has buckets [2, 1]; give them ascending"
