"""Objectives: what is refused, the rules they become, and when they fire, as promtool sees it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from otel_obs.catalog.kit.naming import Naming
from otel_obs.errors import OperationsError
from otel_obs.ops.alerts.burn import burn_alerts
from otel_obs.ops.objectives import PAGE, TICKET, Objective, check_objective, parse_objective
from otel_obs.ops.service_facts import MonitoredService
from tests.ops.promtools import promtools
from tests.ops.test_alerts import PLACES, run_tests

FILES = ("rules/recording.yml", "alerts/slo_alerts.yml")
TARGET = 'job="service",instance="a:8000",endpoint="/x",method="GET"'
LINKS = {
    "runbook_url": "https://runbooks.example.org/{}",
    "dashboard_url": "http://localhost:3000/d/service-slo?var-job=service",
}


@pytest.mark.parametrize(
    ("text", "objective"),
    [
        ("availability=99.9", Objective("availability", Decimal("99.9"))),
        ("availability = 99.95 %", Objective("availability", Decimal("99.95"))),
        ("latency=95%<500ms", Objective("latency", Decimal(95), Decimal("0.5"))),
        ("latency=99<2.5s", Objective("latency", Decimal(99), Decimal("2.5"))),
    ],
)
def test_an_objective_is_read(text: str, objective: Objective) -> None:
    assert parse_objective(text) == objective


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "availability=100",
            "--slo 'availability=100' leaves no budget to burn; give a share from 50 to below 100 percent",
        ),
        (
            "availability=0.999",
            "--slo 'availability=0.999' asks for less than half; give a share from 50 to below 100 percent",
        ),
        (
            "availability=high",
            "--slo 'availability=high' has 'high' for a number; write it as availability=99.9 or latency=95%<500ms",
        ),
        (
            "availability=nan",
            "--slo 'availability=nan' has 'nan' for a number; write it as availability=99.9 or latency=95%<500ms",
        ),
        ("speed=9", "--slo 'speed=9' is no objective; write it as availability=99.9 or latency=95%<500ms"),
        (
            "latency=95%",
            "--slo 'latency=95%' is no objective; write it as availability=99.9 or latency=95%<500ms",
        ),
        ("", "--slo '' is no objective; write it as availability=99.9 or latency=95%<500ms"),
    ],
)
def test_an_objective_that_cannot_be_is_one_line(text: str, message: str) -> None:
    with pytest.raises(OperationsError) as raised:
        parse_objective(text)

    assert str(raised.value) == message


def test_a_latency_that_no_bucket_ends_at_names_those_that_do() -> None:
    service = MonitoredService.of_groups(
        "shop", [], Naming(buckets={"http_request_duration_seconds": (0.1, 1.0)})
    )

    with pytest.raises(OperationsError) as raised:
        check_objective(parse_objective("latency=95%<500ms"), service)

    assert str(raised.value) == (
        "latency within 0.5 s cannot be known: the buckets of http_request_duration_seconds end at 0.1, 1 s; "
        "choose one of these, or add the bound with OTEL_OBS_BUCKETS"
    )


# Those that sloth 0.16 and the workbook give for 30 days, with sloth's noise of floats rounded away.
@pytest.mark.parametrize(
    ("percent", "limits"),
    [
        ("99.9", ["0.0144", "0.006", "0.003", "0.001"]),
        ("99.95", ["0.0072", "0.003", "0.0015", "0.0005"]),
        ("99", ["0.144", "0.06", "0.03", "0.01"]),
        ("95", ["0.72", "0.3", "0.15", "0.05"]),
    ],
)
def test_the_limits_are_the_workbooks(percent: str, limits: list[str]) -> None:
    objective = parse_objective(f"availability={percent}")

    assert [objective.limit(window) for window in (*PAGE, *TICKET)] == limits
    assert [(w.long, w.short, w.factor) for w in (*PAGE, *TICKET)] == [
        ("1h", "5m", Decimal("14.4")),
        ("6h", "30m", Decimal(6)),
        ("1d", "2h", Decimal(3)),
        ("3d", "6h", Decimal(1)),
    ]


def test_a_window_whose_limit_nothing_can_reach_has_no_alert() -> None:
    names = [
        alert.labels and alert.labels["window"] for alert in burn_alerts(parse_objective("availability=90"))
    ]

    assert names == ["6h", "1d", "3d"]


def fires(name: str, severity: str, window: str, slo: str, description: str) -> dict[str, Any]:
    summary = {
        "SLOBudgetBurnFast": "The budget of an objective burns too fast.",
        "SLOBudgetBurnSlow": "The budget of an objective will not last.",
    }[name]
    return {
        "exp_labels": {"job": "service", "slo": slo, "severity": severity, "window": window},
        "exp_annotations": {
            "summary": summary,
            "description": description,
            "runbook_url": LINKS["runbook_url"].format(name),
            "dashboard_url": LINKS["dashboard_url"],
        },
    }


def case(name: str, series: dict[str, str], checks: list[tuple[int, str, list[Any]]]) -> dict[str, Any]:
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": key, "values": values} for key, values in series.items()],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": alerts}
            for minute, alert, alerts in checks
        ],
    }


OK = f'http_requests_total{{{TARGET},status_code="200"}}'
FAILED = f'http_requests_total{{{TARGET},status_code="500"}}'
BUCKET = f'http_request_duration_seconds_bucket{{{TARGET},le="0.5"}}'
COUNT = f"http_request_duration_seconds_count{{{TARGET}}}"
FAST, SLOW = "SLOBudgetBurnFast", "SLOBudgetBurnSlow"


def missed(share: str, objective: str, period: str, factor: str, left: str) -> str:
    return (
        f"{share} of the requests to service missed the objective ({objective}) over the last {period}: "
        f"at least {factor} times what it allows. Left of 30 days' budget: {left}."
    )


AVAILABILITY = "99.9 %"
CASES = [
    case(
        "a tenth fails: every window burns, and then no more",
        {OK: "0+54x60 3240+60x120", FAILED: "0+6x60 360+0x120"},
        [
            (
                50,
                FAST,
                [
                    fires(
                        FAST,
                        "critical",
                        window,
                        "availability",
                        missed("10%", AVAILABILITY, text, f, "-9900%"),
                    )
                    for window, text, f in (("1h", "hour", "14.4"), ("6h", "6 hours", "6"))
                ],
            ),
            (
                50,
                SLOW,
                [
                    fires(
                        SLOW,
                        "warning",
                        window,
                        "availability",
                        missed("10%", AVAILABILITY, text, f, "-9900%"),
                    )
                    for window, text, f in (("1d", "day", "3"), ("3d", "3 days", "1"))
                ],
            ),
            (150, FAST, []),
        ],
    ),
    case(
        "two in a thousand fail: only the longest window burns, and then no more",
        {OK: "0+998x120 119760+1000x420", FAILED: "0+2x120 240+0x420"},
        [
            (100, FAST, []),
            # It ends when the short window, of six hours, has nothing of it any more.
            (520, SLOW, []),
            (
                100,
                SLOW,
                [
                    fires(
                        SLOW,
                        "warning",
                        "3d",
                        "availability",
                        missed("0.2%", AVAILABILITY, "3 days", "1", "-100%"),
                    )
                ],
            ),
        ],
    ),
    case("all is well", {OK: "0+60x120", FAILED: "0+0x120"}, [(100, FAST, []), (100, SLOW, [])]),
    case("nothing has ever failed", {OK: "0+60x120"}, [(100, FAST, []), (100, SLOW, [])]),
    case("no traffic", {OK: "60x120", FAILED: "6x120"}, [(100, FAST, []), (100, SLOW, [])]),
    case("nothing is there", {}, [(100, FAST, []), (100, SLOW, [])]),
    case(
        "a reset is not a failure",
        {OK: "0+60x50 0+60x70", FAILED: "500x50 0x70"},
        [(100, FAST, []), (100, SLOW, [])],
    ),
    case(
        "four of eight requests at night wake nobody",
        {OK: "0x30 1x15 2x15 3x15 4x45", FAILED: "0x30 1x15 2x15 3x15 4x45"},
        [(100, FAST, []), (100, SLOW, [])],
    ),
    case(
        "nine in ten are quick enough, and 95 are promised",
        {BUCKET: "0+54x120", COUNT: "0+60x120"},
        [
            (100, FAST, []),
            (
                100,
                SLOW,
                [
                    fires(
                        SLOW,
                        "warning",
                        "3d",
                        "latency-0.5s",
                        missed("10%", "95 % within 0.5 s", "3 days", "1", "-100%"),
                    )
                ],
            ),
        ],
    ),
]


@pytest.mark.parametrize("promtool", promtools())
def test_budgets_burn(promtool: str, tmp_path: Path) -> None:
    run_tests(promtool, tmp_path, PLACES["en"], CASES, *FILES, every="2m")


@pytest.mark.parametrize("promtool", promtools())
def test_budgets_burn_in_korean(promtool: str, tmp_path: Path) -> None:
    expected = fires(
        SLOW,
        "warning",
        "3d",
        "availability",
        "최근 3일 동안 service 요청의 0.2%가 목표(99.9 %)를 벗어났습니다. 허용치의 1배 이상입니다. 30일 예산 잔여: -100%.",
    )
    expected["exp_annotations"]["summary"] = "SLO 오류 예산이 기간을 채우지 못합니다."

    run_tests(
        promtool,
        tmp_path,
        PLACES["ko"],
        [case("two in a thousand", {OK: "0+998x120", FAILED: "0+2x120"}, [(100, SLOW, [expected])])],
        *FILES,
        every="2m",
    )
