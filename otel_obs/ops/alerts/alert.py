"""A row of the tables of alerts, and its conversion to a rule for one service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

from otel_obs.ops.board_uid import board_uid
from otel_obs.ops.promql import Dialect

LANGUAGES = ("en", "ko")

_PLACEHOLDER = re.compile(r"<(\w+)>")
_VALUES: Mapping[str, str] = {
    "share": "{{ $value | humanizePercentage }}",
    "percent": '{{ $value | printf "%.0f" }}%',
    "seconds": "{{ $value | humanizeDuration }}",
    "count": '{{ $value | printf "%.0f" }}',
    "rate": "{{ $value | humanize }}",
}
"""The template that formats the value of an alert, by its unit: never a bare `$value`."""

_MODEL_STATE: Mapping[str, str] = {
    "en": "{{ if eq $value 2.0 }}in error{{ else }}not loaded, or nobody can tell{{ end }}",
    "ko": "{{ if eq $value 2.0 }}오류{{ else }}로드되지 않음 또는 알 수 없음{{ end }}",
}


class Wording(NamedTuple):
    """The texts of an alert in one language.

    Attributes:
        summary: One line without placeholders, the same for every instance of the alert.
        description: Has the placeholders `<value>`, `<limit>`, `<for>` and labels, such as `<instance>`.
    """

    summary: str
    description: str


@dataclass(frozen=True)
class Alert:
    """One alert, in the catalog's names.

    Attributes:
        name: The alert's name; `docs/runbooks/` has a page of that name.
        group: The name of its rule group and file.
        severity: `critical` pages the person on call, `warning` can wait, `none` is for machines.
        expr: PromQL; `<limit>` stands for `limit`.
        pending: How long the condition has to hold, as a Prometheus duration; "" to fire at once.
        wording: Texts by language.
        limit: The threshold, in `unit`.
        unit: The unit of the value: `share`, `percent`, `seconds`, `count`, `rate` or `state`.
        lasting: How long it keeps firing after the condition has ended, so that it does not flap.
        dashboard: The slug of the dashboard that shows it.
        labels: More labels of the alert; `<job>` is the service.
    """

    name: str
    group: str
    severity: str
    expr: str
    pending: str
    wording: Mapping[str, Wording]
    limit: float | None = None
    unit: str = "count"
    lasting: str = ""
    dashboard: str = "overview"
    labels: Mapping[str, str] | None = None


class Links(NamedTuple):
    """The addresses in the links of alerts.

    Attributes:
        runbooks: The address under which `docs/runbooks/` is served.
        grafana: The address of Grafana.
    """

    runbooks: str = "https://runbooks.example.org"
    grafana: str = "http://localhost:3000"


def rule_of(alert: Alert, dialect: Dialect, job: str, language: str, links: Links) -> dict[str, Any]:
    """The alerting rule for Prometheus.

    Args:
        alert: The row.
        dialect: The service's naming, with `job` among its matchers.
        job: The service.
        language: One of `LANGUAGES`.
        links: The addresses of runbooks and dashboards.
    """
    wording = alert.wording[language]
    own = {key: value.replace("<job>", job) for key, value in (alert.labels or {}).items()}
    labels = {"severity": alert.severity, **own}
    rule: dict[str, Any] = {
        "alert": alert.name,
        "expr": dialect.say(alert.expr.replace("<limit>", f"{alert.limit or 0:g}")).strip(),
        "for": alert.pending,
        "keep_firing_for": alert.lasting,
        "labels": labels,
        "annotations": {
            "summary": wording.summary,
            "description": _fill(wording.description, alert, dialect, job, language),
            "runbook_url": f"{links.runbooks.rstrip('/')}/{alert.name}",
            "dashboard_url": f"{links.grafana.rstrip('/')}/d/{board_uid(job, alert.dashboard)}?var-job={quote(job)}",
        },
    }
    return {key: value for key, value in rule.items() if value}


def _fill(text: str, alert: Alert, dialect: Dialect, job: str, language: str) -> str:
    values = {
        "value": _MODEL_STATE[language] if alert.unit == "state" else _VALUES[alert.unit],
        "limit": limit_text(alert),
        "for": alert.pending,
        "job": job,
    }
    return _PLACEHOLDER.sub(
        lambda found: values.get(found[1]) or f"{{{{ $labels.{dialect.label(found[1], alert.expr)} }}}}", text
    )


def limit_text(alert: Alert) -> str:
    """The threshold as a person reads it."""
    limit = alert.limit or 0
    return {"share": f"{100 * limit:g}%", "percent": f"{limit:g}%", "seconds": f"{limit:g}s"}.get(
        alert.unit, f"{limit:g}"
    )
