"""One expression, in the names of every service."""

from __future__ import annotations

import pytest

from otel_obs.catalog.kit.naming import Naming
from otel_obs.errors import UnsayableError
from otel_obs.ops.promql import Dialect, families_in

CLASSIC = Dialect(matchers=('job="shop"',))
SEMCONV = Dialect(Naming(profile="semconv"), ('job="shop"',))
RENAMED = Dialect(
    Naming(
        namespace="shop", labels={"status_code": "status"}, names={"llm_calls_total": "llm_requests_total"}
    )
)


@pytest.mark.parametrize(
    ("dialect", "expression", "said"),
    [
        (CLASSIC, "up == 0", 'up{job="shop"} == 0'),
        (CLASSIC, 'up{job="other"}', 'up{job="other"}'),
        (CLASSIC, 'up{job=~".+"}', 'up{job=~".+"}'),
        (CLASSIC, "vector(1)", "vector(1)"),
        (CLASSIC, '{otel_metric_overflow="true"}', '{job="shop",otel_metric_overflow="true"}'),
        (CLASSIC, "rate(a[5m] offset 1d)", 'rate(a{job="shop"}[5m] offset 1d)'),
        (CLASSIC, "a unless on (job) b", 'a{job="shop"} unless on (job) b{job="shop"}'),
        (CLASSIC, "sum(a) by (job)", 'sum(a{job="shop"}) by (job)'),
        (
            CLASSIC,
            'label_replace(a, "x", "$1", "y", "(.+)")',
            'label_replace(a{job="shop"}, "x", "$1", "y", "(.+)")',
        ),
        (CLASSIC, 'a{x="}{,"}', 'a{job="shop",x="}{,"}'),
        (CLASSIC, "rate(a[$__rate_interval])", 'rate(a{job="shop"}[$__rate_interval])'),
        (
            SEMCONV,
            'sum by (endpoint, le) (rate(http_request_duration_seconds_bucket{method="GET"}[5m]))',
            (
                "sum by (http_route, le) (rate("
                'http_server_request_duration_seconds_bucket{job="shop",http_request_method="GET"}[5m]))'
            ),
        ),
        (
            SEMCONV,
            'rate(http_requests_total{status_code=~"5.."}[5m])',
            'rate(http_server_request_duration_seconds_count{job="shop",http_response_status_code=~"5.."}[5m])',
        ),
        (
            SEMCONV,
            'llm_calls_total{status="error"} / llm_calls_total{status="success"}',
            (
                'gen_ai_client_operation_duration_seconds_count{job="shop",error_type!=""} / '
                'gen_ai_client_operation_duration_seconds_count{job="shop",error_type=""}'
            ),
        ),
        (
            SEMCONV,
            'sum by (type) (llm_tokens_total{type="prompt",provider="claude"})',
            (
                'sum by (gen_ai_token_type) (gen_ai_client_token_usage_sum{job="shop",gen_ai_token_type="input",'
                'gen_ai_provider_name="anthropic"})'
            ),
        ),
        (
            RENAMED,
            'sum by (status_code) (http_requests_total{status_code!~"2.."})',
            'sum by (status) (shop_http_requests_total{status!~"2.."})',
        ),
        (RENAMED, "rate(llm_calls_total[5m])", "rate(shop_llm_requests_total[5m])"),
        (RENAMED, "process_cpu_seconds_total", "process_cpu_seconds_total"),
    ],
)
def test_an_expression_is_said_in_a_services_names(dialect: Dialect, expression: str, said: str) -> None:
    assert dialect.say(expression) == said


@pytest.mark.parametrize("matcher", ['status="fallback"', 'status=~"error|fallback"'])
def test_what_a_naming_has_no_words_for_is_an_error(matcher: str) -> None:
    with pytest.raises(UnsayableError):
        SEMCONV.say(f"llm_calls_total{{{matcher}}}")


def test_families_are_found_in_an_expression() -> None:
    expression = (
        "histogram_quantile(0.9, sum by (le) (rate(llm_duration_seconds_bucket[5m]))) > bool on () up"
    )

    assert families_in(expression) == {"llm_duration_seconds", "up"}


def test_legends_follow_the_labels() -> None:
    assert SEMCONV.legend("{{endpoint}} {{ method }} {{job}}", "http_requests_total") == (
        "{{http_route}} {{http_request_method}} {{job}}"
    )
