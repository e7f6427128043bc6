"""What a service has is known from its page, or from what its team names."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_obs.catalog import metrics
from otel_obs.catalog.kit.naming import Naming
from otel_obs.errors import OperationsError, UnreadableError
from otel_obs.ops.service_facts import MonitoredService, fetch_page
from otel_obs.settings import Settings
from tests.support.classifier import classifier, image, settings
from tests.support.ports import free_port


def page(*families: str) -> str:
    return "".join(f"# HELP {family} …\n# TYPE {family} counter\n{family} 1.0\n" for family in families)


def test_a_group_brings_what_it_always_has() -> None:
    service = MonitoredService.of_groups("shop", ["cache"])

    assert service.groups == ["http", "cache", "runtime", "process", "workers"]
    assert "event_loop_lag_seconds" not in service.families
    assert service.has("rate(cache_hits_total[5m])")
    assert not service.has("rate(http_requests_total[5m]) / rate(llm_calls_total[5m])")
    assert not service.has("rate(otelcol_exporter_send_failed_metric_points[5m])")


def test_what_a_group_has_only_sometimes_is_named() -> None:
    assert MonitoredService.of_groups("shop", ["event_loop_lag_seconds", "collector"]).has(
        ["event_loop_lag_seconds_bucket", "otelcol_x"]
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("modle", "did you mean 'model'? "),
        ("llm_cals_total", "did you mean 'llm_calls_total'? "),
        ("zzz", ""),
    ],
)
def test_an_unknown_group_is_one_line_that_names_what_exists(name: str, hint: str) -> None:
    with pytest.raises(OperationsError) as raised:
        MonitoredService.of_groups("shop", ["http", name])

    assert str(raised.value) == (
        f"group {name!r} does not exist; {hint}expected a family of docs/metrics.md or one of http, errors, app, "
        "model, cache, runtime, process, workers, dialogue, llm, api_keys, pipeline, agent, workflow, context, "
        "database, detection, collector"
    )


@pytest.mark.parametrize(
    ("families", "naming", "expected"),
    [
        (("http_requests_total", "cache_hits_total"), None, ["http", "cache"]),
        (
            ("http_server_request_duration_seconds", "db_client_operation_duration_seconds"),
            None,
            ["http", "database"],
        ),
        (("shop_http_requests_total", "shop_llm_tokens_total"), Naming(namespace="shop"), ["http", "llm"]),
        (("http_requests_total", "somebody_elses_total"), None, ["http"]),
    ],
)
def test_a_page_says_which_groups_there_are(
    families: tuple[str, ...], naming: Naming | None, expected: list[str]
) -> None:
    assert MonitoredService.of_page("shop", page(*families), naming).groups == expected


def test_a_page_without_requests_is_refused_with_the_remedy() -> None:
    with pytest.raises(OperationsError) as raised:
        MonitoredService.of_page(
            "shop", page("go_info", "shop_http_requests_total"), where="http://x/metrics"
        )

    assert str(raised.value) == (
        "http://x/metrics shows 2 families, and no HTTP family of the catalog among them; give the service a request "
        "first, and set OTEL_OBS_NAMESPACE, OTEL_OBS_NAMES and OTEL_OBS_PROFILE here as they are set there"
    )


@pytest.mark.parametrize("job", ['a"b', "a\\b", "a\nb", "{{ $value }}", "a'b", "<value>"])
def test_a_name_that_rules_would_misread_is_refused_also_where_a_page_gives_it(job: str) -> None:
    said = f"service {job!r} has a name that rules cannot quote; give --job another, without quotes, backslashes and braces"
    with pytest.raises(OperationsError) as raised:
        MonitoredService.of_groups(job, ["http"])
    assert str(raised.value) == said

    escaped = job.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    told = f'# TYPE target_info gauge\ntarget_info{{service_name="{escaped}"}} 1\n'
    with pytest.raises(OperationsError) as raised:
        MonitoredService.of_page("", told + page("http_requests_total"))
    assert str(raised.value) == said
    assert MonitoredService.of_page("mine", told + page("http_requests_total")).job == "mine"


def test_a_running_service_is_asked(tmp_path: Path) -> None:
    with classifier(tmp_path / "log", workers=1) as running:
        running.post("/predict", {"image": image(1)})

        service = MonitoredService.of_page("classifier", fetch_page(f"127.0.0.1:{running.port}"))

    assert service.groups == ["http", "app", "model", "cache", "runtime", "process", "workers"]
    # The names are those of settings that only the service has.
    told = Naming.from_settings(Settings.from_env(settings()))
    rows = [metric.declaration for _, metric in metrics() if metric.declaration.family in service.families]
    assert [service.naming.apply(row) for row in rows] == [told.apply(row) for row in rows]
    assert "event_loop_lag_seconds" not in service.families
    assert "preprocessing_duration_seconds" in service.families


def test_who_does_not_answer_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}/metrics"

    with pytest.raises(UnreadableError, match=f"^{url} cannot be reached: "):
        fetch_page(url)
