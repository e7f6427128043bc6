"""The rule files of a service's alerts, and the configuration of Alertmanager that sends them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from otel_obs.errors import OperationsError
from otel_obs.ops.alerts import api, collector, llm, model, runtime
from otel_obs.ops.alerts.alert import Alert, Links, rule_of
from otel_obs.ops.alerts.burn import burn_alerts
from otel_obs.ops.objectives import Objective
from otel_obs.ops.promql import Dialect
from otel_obs.ops.service_facts import MonitoredService

ALERTS: tuple[Alert, ...] = (*api.ALERTS, *model.ALERTS, *llm.ALERTS, *runtime.ALERTS, *collector.ALERTS)


def alerts_of(
    service: MonitoredService, objectives: Sequence[Objective] = (), limits: Mapping[str, float] | None = None
) -> list[Alert]:
    """The alerts whose metrics the service has.

    Args:
        service: The service.
        objectives: Its objectives.
        limits: Thresholds that replace those of the tables, by alert, in the unit of its value.

    Raises:
        OperationsError: A limit is given for an alert that does not exist or has none.
    """
    limits = limits or {}
    units = {alert.name: alert.unit for alert in ALERTS}
    chosen = [*ALERTS, *(alert for objective in objectives for alert in burn_alerts(objective))]
    adjustable = [alert.name for alert in ALERTS if alert.limit is not None]
    for name in limits:
        if name not in adjustable:
            raise OperationsError(
                f"alert {name!r}", "has no limit to set", f"expected one of {', '.join(adjustable)}"
            )
        _refuse_limit(name, limits[name], _HIGHEST.get(units[name]))
    return [
        replace(alert, limit=limits.get(alert.name, alert.limit))
        for alert in chosen
        if service.has(alert.expr)
    ]


_HIGHEST: Mapping[str, float] = {"share": 1, "percent": 100}
"""From which limit on an alert could never fire, by unit."""


def _refuse_limit(name: str, limit: float, highest: float | None) -> None:
    if limit < 0 or (highest is not None and limit >= highest):
        below = f" to below {highest:g}" if highest else ""
        raise OperationsError(
            f"--limit {name}={limit:g}", "is always or never reached", f"give a number from 0{below}"
        )


def alert_files(
    service: MonitoredService, alerts: Sequence[Alert], language: str = "en", links: Links | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A rule file for each group of alerts, by the group's name."""
    dialect = Dialect(service.naming, (f'job="{service.job}"',))
    for group in dict.fromkeys(alert.group for alert in alerts):
        rules = [
            rule_of(alert, dialect, service.job, language, links or Links())
            for alert in alerts
            if alert.group == group
        ]
        yield group, {"groups": [{"name": group, "rules": rules}]}


_SECRETS = "/etc/alertmanager/secrets"
"""The directory of `slack-url`, `smtp-password` and `watchdog-token`, one secret a file."""

_SLACK_TITLE = (
    '[{{ .Status | toUpper }}{{ if eq .Status "firing" }}: {{ .Alerts.Firing | len }}{{ end }}] '
    "{{ .CommonLabels.alertname }}"
)
_SLACK_TEXT = (
    "{{ range .Alerts }}*{{ .Annotations.summary }}*\n{{ .Annotations.description }}\n"
    "<{{ .Annotations.runbook_url }}|runbook> · <{{ .Annotations.dashboard_url }}|dashboard>\n{{ end }}"
)


def alertmanager_config(webhook: str = "") -> dict[str, Any]:
    """Routes by severity, inhibition rules, and receivers that read their secrets from files.

    Args:
        webhook: A receiver of all alerts, such as one on this machine; "" for Slack and e-mail. These are
            left out with a webhook, since a developer's machine has no secrets.
    """
    receivers = _local(webhook) if webhook else _production()
    return {
        "global": {"resolve_timeout": "5m"},
        "route": {
            "receiver": "team",
            "group_by": ["alertname", "job"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [
                {
                    "receiver": "watchdog",
                    "matchers": ['alertname="Watchdog"'],
                    "group_wait": "0s",
                    "group_interval": "1m",
                    "repeat_interval": "1m",
                },
                {"receiver": "oncall", "matchers": ['severity="critical"'], "repeat_interval": "4h"},
                {"receiver": "team", "matchers": ['severity=~"warning|info"']},
            ],
        },
        "inhibit_rules": [
            # The critical form of an alert silences its warning.
            {
                "source_matchers": ['severity="critical"'],
                "target_matchers": ['severity=~"warning|info"'],
                "equal": ["alertname", "job"],
            },
            # A target that is down needs no further warnings.
            {
                "source_matchers": ['alertname="TargetDown"'],
                "target_matchers": ['severity=~"warning|info"'],
                "equal": ["job", "instance"],
            },
            {
                "source_matchers": ['alertname="SLOBudgetBurnFast"'],
                "target_matchers": ['alertname="SLOBudgetBurnSlow"'],
                "equal": ["job", "slo"],
            },
        ],
        "receivers": receivers,
    }


def _local(webhook: str) -> list[dict[str, Any]]:
    hook = [{"url": webhook, "send_resolved": True}]
    return [{"name": name, "webhook_configs": hook} for name in ("team", "oncall")] + [{"name": "watchdog"}]


def _production() -> list[dict[str, Any]]:
    slack = {
        "api_url_file": f"{_SECRETS}/slack-url",
        "send_resolved": True,
        "title": _SLACK_TITLE,
        "text": _SLACK_TEXT,
    }
    mail = {
        "to": "oncall@example.org",
        "from": "alertmanager@example.org",
        "smarthost": "smtp.example.org:587",
        "auth_username": "alertmanager@example.org",
        "auth_password_file": f"{_SECRETS}/smtp-password",
        "send_resolved": True,
    }
    watchdog = {
        "url": "https://watchdog.example.org/",
        "send_resolved": False,
        "http_config": {"authorization": {"credentials_file": f"{_SECRETS}/watchdog-token"}},
    }
    return [
        {"name": "team", "slack_configs": [{**slack, "channel": "#alerts"}]},
        {
            "name": "oncall",
            "slack_configs": [{**slack, "channel": "#oncall"}],
            "email_configs": [mail],
        },
        {"name": "watchdog", "webhook_configs": [watchdog]},
    ]
