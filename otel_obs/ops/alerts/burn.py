"""Alerts on objectives: how fast the budget of errors burns, over a long and a short window."""

from __future__ import annotations

from collections.abc import Iterator

from otel_obs.ops.alerts.alert import Alert, Wording
from otel_obs.ops.objectives import PAGE, TICKET, Objective, Window

MIN_FAILURES = 10
"""An alert needs this many failed requests in the long window: one of two at night is no reason to page."""

_LEFT = (
    '{{ with printf `job:slo_budget_left:ratio30d{job="%s",slo="%s"}` $labels.job $labels.slo | query }}'
    "{{ . | first | value | humanizePercentage }}{{ else }}?{{ end }}"
)
_HOURS = {"1h": "hour", "6h": "6 hours", "1d": "day", "3d": "3 days"}
_HOURS_KO = {"1h": "1시간", "6h": "6시간", "1d": "1일", "3d": "3일"}


def burn_alerts(objective: Objective) -> Iterator[Alert]:
    """One alert for each window, so that its text can name the window.

    With a loose objective some alerts could never fire, and are left out: at 90 %, 14.4 times the budget is
    144 % of all requests.
    """
    for name, severity, windows in (
        ("SLOBudgetBurnFast", "critical", PAGE),
        ("SLOBudgetBurnSlow", "warning", TICKET),
    ):
        yield from (
            _alert(name, severity, objective, window)
            for window in windows
            if window.factor * objective.budget < 1
        )


def _alert(name: str, severity: str, objective: Objective, window: Window) -> Alert:
    slo, limit = f'{{slo="{objective.name}"}}', objective.limit(window)
    factor = f"{window.factor.normalize():f}"
    return Alert(
        name,
        "slo_alerts",
        severity,
        f"job:slo_failed:ratio_rate{window.long}{slo} > {limit}\n"
        f"and job:slo_failed:ratio_rate{window.short}{slo} > {limit}\n"
        f"and job:slo_failed:increase{window.long}{slo} >= {MIN_FAILURES}\n",
        "2m" if severity == "critical" else "15m",
        {
            "en": Wording(
                "The budget of an objective burns too fast."
                if severity == "critical"
                else "The budget of an objective will not last.",
                f"<value> of the requests to <job> missed the objective ({objective.text}) over the last "
                f"{_HOURS[window.long]}: at least {factor} times what it allows. Left of 30 days' budget: {_LEFT}.",
            ),
            "ko": Wording(
                "SLO 오류 예산이 너무 빠르게 소진되고 있습니다."
                if severity == "critical"
                else "SLO 오류 예산이 기간을 채우지 못합니다.",
                f"최근 {_HOURS_KO[window.long]} 동안 <job> 요청의 <value>가 목표({objective.text})를 벗어났습니다. "
                f"허용치의 {factor}배 이상입니다. 30일 예산 잔여: {_LEFT}.",
            ),
        },
        unit="share",
        dashboard="slo",
        labels={"slo": objective.name, "window": window.long},
    )
