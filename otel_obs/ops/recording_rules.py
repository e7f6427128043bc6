"""Recording rules: rate, errors, duration and saturation of a service, and its objectives' burn rates.

Their names do not depend on the naming, so that one dashboard fits several services.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from otel_obs.ops.objectives import DURATION, PAGE, TICKET, Objective
from otel_obs.ops.promql import Dialect
from otel_obs.ops.service_facts import MonitoredService

_ERRORS = 'sum by (job) (rate(http_requests_total{status_code=~"5.."}[5m]))'
_REQUESTS = "sum by (job) (rate(http_requests_total[5m]))"


def _quantile(share: str, by: str) -> str:
    return f"histogram_quantile({share}, sum by ({by}, le) (rate(http_request_duration_seconds_bucket[5m])))"


RED: tuple[tuple[str, str], ...] = (
    ("job:http_requests:rate5m", _REQUESTS),
    ("job_endpoint:http_requests:rate5m", "sum by (job, endpoint) (rate(http_requests_total[5m]))"),
    # Before the first error there is no series of errors: `or 0 * …` makes the share 0 then.
    ("job:http_requests_failed:ratio_rate5m", f"({_ERRORS} or 0 * {_REQUESTS}) / {_REQUESTS}"),
    ("job:http_request_duration_seconds:p50_rate5m", _quantile("0.5", "job")),
    ("job:http_request_duration_seconds:p95_rate5m", _quantile("0.95", "job")),
    ("job:http_request_duration_seconds:p99_rate5m", _quantile("0.99", "job")),
    ("job_endpoint:http_request_duration_seconds:p95_rate5m", _quantile("0.95", "job, endpoint")),
    ("job:http_requests_in_progress:sum", "sum by (job) (http_requests_in_progress)"),
    (
        "job_instance:process_cpu_seconds:rate5m",
        "sum by (job, instance) (rate(process_cpu_seconds_total[5m]))",
    ),
    (
        "job_instance:process_cpu_per_worker:rate5m",
        (
            "sum by (job, instance) (rate(process_cpu_seconds_total[5m]))"
            " / max by (job, instance) (otel_obs_workers)"
        ),
    ),
)
"""Rate, errors, duration, and saturation: requests in progress, and the part of a core for each worker."""


def recording_rules(service: MonitoredService, objectives: Sequence[Objective]) -> dict[str, Any]:
    """The rule file of a service."""
    dialect = Dialect(service.naming, (f'job="{service.job}"',))
    rules = [
        {"record": name, "expr": dialect.say(expression)}
        for name, expression in RED
        if service.has(expression)
    ]
    groups = [{"name": "service_rates", "rules": rules}] if rules else []
    for objective in objectives:
        own = list(_objective_rules(objective, dialect))
        groups.append({"name": f"slo_{objective.name}", "rules": own})
    return {"groups": groups}


def _objective_rules(objective: Objective, dialect: Dialect) -> Iterator[dict[str, Any]]:
    """The share of bad requests for each window, and the remaining budget of 30 days."""
    labels = {"slo": objective.name}
    windows = dict.fromkeys(each for pair in (*PAGE, *TICKET) for each in (pair.short, pair.long))
    for window in windows:
        bad, every = bad_requests(objective, window), all_requests(objective, window)
        yield {
            "record": f"job:slo_failed:ratio_rate{window}",
            "expr": dialect.say(f"{bad}\n  / {every}"),
            "labels": labels,
        }
    for window in dict.fromkeys(pair.long for pair in (*PAGE, *TICKET)):
        bad = bad_requests(objective, window, "increase")
        yield {"record": f"job:slo_failed:increase{window}", "expr": dialect.say(bad), "labels": labels}
    for name, expression in (
        ("job:slo_failed:rate5m", bad_requests(objective, "5m")),
        ("job:slo_requests:rate5m", all_requests(objective, "5m")),
    ):
        yield {"record": name, "expr": dialect.say(expression), "labels": labels}
    matchers = f'{{slo="{objective.name}"}}'
    yield {
        "record": "job:slo_budget_left:ratio30d",
        "expr": dialect.say(
            f"1 - (sum_over_time(job:slo_failed:rate5m{matchers}[30d])"
            f" / sum_over_time(job:slo_requests:rate5m{matchers}[30d])) / {objective.budget.normalize():f}"
        ),
        "labels": labels,
    }
    yield {
        "record": "job:slo_objective:ratio",
        "expr": f"vector({objective.percent / 100:f})",
        "labels": {"job": _job(dialect), **labels},
    }


def _job(dialect: Dialect) -> str:
    return dialect.matchers[0].split('"')[1]


def all_requests(objective: Objective, window: str, function: str = "rate") -> str:
    """All requests that an objective counts."""
    family = "http_requests_total" if objective.bound_s is None else f"{DURATION}_count"
    return f"sum by (job) ({function}({family}[{window}]))"


def bad_requests(objective: Objective, window: str, function: str = "rate") -> str:
    """The requests that failed or took too long; 0 before the first one."""
    every = all_requests(objective, window, function)
    if objective.bound_s is None:
        failed = f'sum by (job) ({function}(http_requests_total{{status_code=~"5.."}}[{window}]))'
        return f"({failed} or 0 * {every})"
    bound = f"{float(objective.bound_s)}"
    # Prometheus writes whole bounds as `1.0`, text 0.0.4 of other libraries as `1`.
    exact = bound.replace(".", "[.]") if not bound.endswith(".0") else f"{bound[:-2]}([.]0)?"
    good = f'sum by (job) ({function}({DURATION}_bucket{{le=~"{exact}"}}[{window}]))'
    return f"({every} - {good})"
