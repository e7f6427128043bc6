"""The cases of `promtool test rules` for a scenario, as its files want them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.ops.scenarios import Scenario

Phase = tuple[Mapping[str, float | None], int]
RUNBOOKS, GRAFANA = "https://runbooks.example.org", "http://localhost:3000"


def values_of(series: str, phases: list[Phase], is_gauge: bool, resets_at: int = 0) -> str:
    """A series over its phases, in promtool's notation; a counter goes on from where it was.

    Args:
        series: Which one.
        phases: Values of all series, and for how many minutes each.
        is_gauge: Whether values are levels; else they are steps in a minute.
        resets_at: The minute at which a counter begins anew; 0 for never.
    """
    parts, level, minute = [], 0.0, 0
    for values, minutes in phases:
        value = values[series]
        for _ in range(minutes):
            if value is None:
                parts.append("_")
            elif is_gauge:
                parts.append(f"{value:g}")
            else:
                level = 0.0 if minute == resets_at else level + value
                parts.append(f"{level:g}")
            minute += 1
    # A series that has been, and is no longer, is marked as such by Prometheus at once.
    for index in range(1, len(parts)):
        if parts[index] == "_" and parts[index - 1] not in ("_", "stale"):
            parts[index] = "stale"
    return " ".join(parts)


def expected(scenario: Scenario, language: str, dashboard: str) -> dict[str, Any]:
    """The one alert that fires, whole."""
    summary, description = scenario.ko if language == "ko" else scenario.en
    return {
        "exp_labels": dict(scenario.labels),
        "exp_annotations": {
            "summary": summary,
            "description": description,
            "runbook_url": f"{RUNBOOKS}/{scenario.alert}",
            "dashboard_url": f"{GRAFANA}/d/service-{dashboard}?var-job=service",
        },
    }


def cases(
    scenario: Scenario, language: str, dashboard: str, pending_minutes: int
) -> Iterator[dict[str, Any]]:
    """Firing, not yet, not at all, no traffic, after a reset, without its series, and ending."""
    bad, good, lead, at = scenario.bad, scenario.good, scenario.lead, scenario.fires_at
    fires = [expected(scenario, language, dashboard)]
    first: list[Phase] = [(good, lead)] if lead else []
    length = at + 10

    def case(
        name: str, phases: list[Phase], checks: list[tuple[int, list[Any]]], **how: Any
    ) -> dict[str, Any]:
        resets_at, without = how.get("resets_at", 0), how.get("without", ())
        kept = [series for series in bad if series not in without]
        return {
            "name": f"{scenario.alert} {name}",
            "interval": "1m",
            "input_series": [
                {"series": series, "values": values_of(series, phases, scenario.is_gauge, resets_at)}
                for series in kept
            ],
            "alert_rule_test": [
                {"eval_time": f"{minute}m", "alertname": scenario.alert, "exp_alerts": alerts}
                for minute, alerts in checks
            ],
        }

    yield case("fires", [*first, (bad, length)], [(lead + at, fires)])
    if pending_minutes > 1:
        yield case("waits", [*first, (bad, length)], [(lead + pending_minutes - 1, [])])
    yield case("is quiet", [(good, lead + length)], [(lead + at, [])])
    after = scenario.ends_after
    yield case(
        "ends", [*first, (bad, at + 1), (good, after + 5)], [(lead + at, fires), (lead + at + after, [])]
    )
    if scenario.missing:
        yield case("misses series", [*first, (bad, length)], [(lead + at, [])], without=scenario.missing)
    if not scenario.is_gauge:
        idle = {series: None if value is None else 0.0 for series, value in bad.items()}
        yield case("has no traffic", [(idle, lead + length)], [(lead + at, [])])
        half = lead + (at + 4) // 2
        yield case("is quiet over a reset", [(good, lead + length)], [(lead + at, [])], resets_at=half)
