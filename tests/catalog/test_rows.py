"""The families, labels, buckets and help texts that the four systems rely on."""

from __future__ import annotations

import pytest

import otel_obs.catalog
from otel_obs.catalog import GROUPS, metrics
from otel_obs.catalog.kit.naming import Naming

ROWS = {metric.declaration.family: metric.declaration for _, metric in metrics()}


@pytest.mark.parametrize(
    ("family", "labels"),
    [
        ("http_requests_total", "method endpoint status_code"),
        ("http_request_duration_seconds", "method endpoint"),
        ("http_requests_in_progress", "method"),
        ("predictions_total", "status"),
        ("inference_duration_seconds", ""),
        ("preprocessing_duration_seconds", ""),
        ("model_state", ""),
        ("model_load_duration_seconds", ""),
        ("app_info", "version environment python_version"),
        ("cache_hit_rate", ""),
        ("cache_size_current", ""),
        ("cache_memory_bytes", ""),
        ("cache_hits_total", ""),
        ("cache_misses_total", ""),
        ("system_memory_percent", ""),
        ("system_cpu_percent", ""),
        ("process_memory_bytes", "type"),
        ("dialogue_sessions_total", "category"),
        ("dialogue_turns_total", "category"),
        ("dialogue_completions_total", "category"),
        ("llm_calls_total", "provider status"),
        ("llm_duration_seconds", "provider"),
        ("llm_tokens_total", "provider type"),
        ("llm_time_to_first_token_seconds", "provider"),
        ("llm_cost_usd_total", "provider"),
        ("api_key_success_rate", "key_id"),
        ("retrieval_duration_seconds", "category"),
        ("scoring_duration_seconds", "category"),
        ("evidence_count", "category"),
        ("active_evidence_gauge", "category session_id"),
        ("errors_total", "error_type component"),
        ("agent_executions_total", "agent status"),
        ("agent_duration_seconds", "agent"),
        ("workflows_total", "workflow status"),
        ("workflows_active", ""),
        ("workflow_duration_seconds", "workflow"),
        ("context_size_bytes", ""),
        ("db_queries_total", "operation status"),
        ("db_query_duration_seconds", "operation"),
        ("db_connections", "state"),
        ("detection_total", "camera_id model_type"),
        ("detection_latency_seconds", "camera_id model_type"),
        ("detection_objects", ""),
        ("detection_groups", ""),
    ],
)
def test_a_family_has_its_labels(family: str, labels: str) -> None:
    assert Naming().apply(ROWS[family]).labels == tuple(labels.split())


@pytest.mark.parametrize(
    ("family", "bounds"),
    [
        ("http_request_duration_seconds", [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30]),
        ("inference_duration_seconds", [0.05, 0.1, 0.2, 0.5, 1, 2, 5]),
        ("llm_duration_seconds", [0.5, 1, 2, 5, 10, 20, 30]),
        ("retrieval_duration_seconds", [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2]),
        ("scoring_duration_seconds", [0.01, 0.05, 0.1, 0.25, 0.5, 1]),
        ("evidence_count", [0, 1, 2, 3, 5, 10, 20, 50]),
    ],
)
def test_a_histogram_has_its_buckets(family: str, bounds: list[float]) -> None:
    assert list(ROWS[family].bounds) == bounds


@pytest.mark.parametrize(
    ("family", "values"),
    [
        ("predictions_total", {"status": ("success", "cache_hit", "error")}),
        ("llm_calls_total", {"provider": (), "status": ("success", "error", "fallback")}),
        ("llm_tokens_total", {"provider": (), "type": ("prompt", "completion")}),
        ("process_memory_bytes", {"type": ("rss", "vms")}),
    ],
)
def test_a_closed_attribute_has_its_values(family: str, values: dict[str, tuple[str, ...]]) -> None:
    assert ROWS[family].attributes == values


@pytest.mark.parametrize(
    ("family", "rule"),
    [
        ("cache_hit_rate", "share:cache_hits,cache_misses"),
        ("cache_size_current", "mean"),
        ("cache_memory_bytes", "sum"),
        ("process_memory_bytes", "sum"),
        ("model_state", "worst:2,0,1"),
        ("system_memory_percent", "latest"),
        ("system_cpu_percent", "latest"),
        ("app_info", "max"),
        ("api_key_success_rate", "share:api_key_successes,api_key_failures"),
        ("db_connections", "sum"),
    ],
)
def test_a_gauge_has_its_rule_over_workers(family: str, rule: str) -> None:
    assert Naming().apply(ROWS[family]).merge == rule


@pytest.mark.parametrize(
    ("family", "help"),
    [
        ("http_requests_total", "Total HTTP requests"),
        ("cache_hit_rate", "Cache hit rate (0.0 to 1.0)"),
        ("model_state", "Model state (0=not_loaded, 1=loaded, 2=error)"),
    ],
)
def test_a_family_has_the_help_that_the_teams_print(family: str, help: str) -> None:
    assert ROWS[family].help == help


def test_every_row_is_importable_by_its_family() -> None:
    for group, metric in metrics():
        assert getattr(otel_obs.catalog, metric.declaration.family) is metric, group


def test_every_family_is_declared_once() -> None:
    families = [metric.declaration.family for _, metric in metrics()]
    assert sorted(families) == sorted(set(families))


def test_session_id_is_a_label_of_one_gauge_only() -> None:
    assert [family for family, row in ROWS.items() if "session_id" in row.attributes] == [
        "active_evidence_gauge"
    ]


def test_what_the_catalog_does_not_have_is_an_ordinary_attribute_error() -> None:
    with pytest.raises(AttributeError) as caught:
        otel_obs.catalog.no_such_total  # type: ignore[attr-defined]  # noqa: B018
    assert str(caught.value) == "module 'otel_obs.catalog' has no attribute 'no_such_total'"
    assert otel_obs.catalog.llm.__name__ == "otel_obs.catalog.llm"
    assert len(GROUPS) == len(set(GROUPS))
