"""What each recording rule records: under traffic, without failures or traffic, over a reset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ops.promtools import promtools
from tests.ops.test_alerts import PLACES, run_tests

RULES = "rules/recording.yml"
TARGET = 'job="service",instance="a:8000"'
X = f'{TARGET},endpoint="/x",method="GET"'
OK, FAILED = (f'http_requests_total{{{X},status_code="{status}"}}' for status in (200, 500))
COUNT = f"http_request_duration_seconds_count{{{X}}}"
TRAFFIC = {
    OK: "0+54x30",
    FAILED: "0+6x30",
    # Half are within 0.1 s, nine in ten within 0.5 s, all within 1 s.
    **{
        f'http_request_duration_seconds_bucket{{{X},le="{bound}"}}': f"0+{step}x30"
        for bound, step in (("0.1", 30), ("0.5", 54), ("1.0", 60), ("+Inf", 60))
    },
    COUNT: "0+60x30",
    f"http_requests_in_progress{{{X}}}": "3x30",
    f"process_cpu_seconds_total{{{TARGET}}}": "0+30x30",
    f"otel_obs_workers{{{TARGET}}}": "2x30",
}
SHORT = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
LONG = ("1h", "6h", "1d", "3d")
EXPECTED: dict[str, tuple[str, float]] = {
    "job:http_requests:rate5m": ("", 1),
    "job_endpoint:http_requests:rate5m": ('endpoint="/x"', 1),
    "job:http_requests_failed:ratio_rate5m": ("", 0.1),
    "job:http_request_duration_seconds:p50_rate5m": ("", 0.1),
    "job:http_request_duration_seconds:p95_rate5m": ("", 0.75),
    "job:http_request_duration_seconds:p99_rate5m": ("", 0.95),
    "job_endpoint:http_request_duration_seconds:p95_rate5m": ('endpoint="/x"', 0.75),
    "job:http_requests_in_progress:sum": ("", 3),
    "job_instance:process_cpu_seconds:rate5m": ('instance="a:8000"', 0.5),
    "job_instance:process_cpu_per_worker:rate5m": ('instance="a:8000"', 0.25),
}
"""What is recorded for `TRAFFIC`: further labels, and the value."""

AVAILABILITY = {
    **{f"job:slo_failed:ratio_rate{window}": 0.1 for window in SHORT},
    "job:slo_failed:rate5m": 0.1,
    "job:slo_requests:rate5m": 1,
    # A tenth failed, where a thousandth may: the budget is used up a hundred times.
    "job:slo_budget_left:ratio30d": -99,
    "job:slo_objective:ratio": 0.999,
}
LATENCY = {
    **{f"job:slo_failed:ratio_rate{window}": 0.1 for window in SHORT},
    "job:slo_failed:rate5m": 0.1,
    "job:slo_requests:rate5m": 1,
    "job:slo_budget_left:ratio30d": -1,
    "job:slo_objective:ratio": 0.95,
}
OBJECTIVES = {"availability": AVAILABILITY, "latency-0.5s": LATENCY}
NOISE = 1e-9


def within(expression: str, value: float) -> str:
    """An expression that is 1 where another one is a value but for binary noise; any promtool reads it."""
    return f"abs({expression} - {value}) < bool {NOISE}"


def is_true(labels: str) -> list[dict[str, Any]]:
    return [{"labels": f"{{{labels}}}", "value": 1}]


def case(name: str, series: dict[str, str], checks: list[tuple[str, list[dict[str, Any]]]]) -> dict[str, Any]:
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": key, "values": values} for key, values in series.items()],
        "promql_expr_test": [
            {"expr": expression, "eval_time": "20m", "exp_samples": samples} for expression, samples in checks
        ],
    }


def rate_checks() -> list[tuple[str, list[dict[str, Any]]]]:
    """Every rule of rates has its value under traffic."""
    return [
        (within(name, value), is_true(", ".join(filter(None, (more, 'job="service"')))))
        for name, (more, value) in EXPECTED.items()
    ]


def objective_checks() -> list[tuple[str, list[dict[str, Any]]]]:
    """Every rule of an objective has its value under traffic."""
    return [
        (within(f'{name}{{slo="{slo}"}}', value), is_true(f'job="service", slo="{slo}"'))
        for slo, values in OBJECTIVES.items()
        for name, value in values.items()
    ] + [
        # How many failed is what `increase` makes of it: about six a minute since the first sample.
        (f'job:slo_failed:increase{window}{{slo="{slo}"}} > bool 100', is_true(f'job="service", slo="{slo}"'))
        for slo in OBJECTIVES
        for window in LONG
    ]


WITHOUT_FAILURES = {key: values for key, values in TRAFFIC.items() if key != FAILED}
SHARE = "job:http_requests_failed:ratio_rate5m"
NOTHING_FAILED = [
    (within(SHARE, 0), is_true('job="service"')),
    (
        within('job:slo_failed:ratio_rate1h{slo="availability"}', 0),
        is_true('job="service", slo="availability"'),
    ),
    (
        within('job:slo_budget_left:ratio30d{slo="availability"}', 1),
        is_true('job="service", slo="availability"'),
    ),
]
IDLE = dict.fromkeys(TRAFFIC, "100x30")
# A share of nothing is no number; compared with anything it is false, so that nothing fires.
NO_TRAFFIC = [
    (f"{SHARE} >= 0", []),
    ('job:slo_failed:ratio_rate1h{slo="availability"} >= 0', []),
    (within("job:http_requests:rate5m", 0), is_true('job="service"')),
]
RESET = {key: values.replace("x30", "x10") + " " + values for key, values in TRAFFIC.items()}
CASES = [
    case("traffic", TRAFFIC, [*rate_checks(), *objective_checks()]),
    case("nothing has failed yet", WITHOUT_FAILURES, NOTHING_FAILED),
    case("no traffic", IDLE, NO_TRAFFIC),
    case("a reset", RESET, [(within(SHARE, 0.1), is_true('job="service"'))]),
    case(
        "no series",
        {},
        [(name, []) for name in (*EXPECTED, 'job:slo_failed:ratio_rate1h{slo="availability"}')],
    ),
]


@pytest.mark.parametrize("promtool", promtools())
def test_what_is_recorded_is_right(promtool: str, tmp_path: Path) -> None:
    run_tests(promtool, tmp_path, PLACES["en"], CASES, RULES)


def test_every_rule_is_tried() -> None:
    groups = yaml.safe_load((PLACES["en"] / RULES).read_text())["groups"]
    recorded = {rule["record"] for group in groups for rule in group["rules"]}

    tried = {*EXPECTED, *AVAILABILITY, *(f"job:slo_failed:increase{window}" for window in LONG)}
    assert recorded == tried
