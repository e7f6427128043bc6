"""Alerts on requests: errors and latency, which users notice first."""

from __future__ import annotations

from otel_obs.ops.alerts.alert import Alert, Wording

ALERTS = (
    Alert(
        "HighErrorRate",
        "api_alerts",
        "critical",
        """\
sum by (job) (rate(http_requests_total{status_code=~"5.."}[5m]))
  / sum by (job) (rate(http_requests_total[5m]))
  > <limit>
""",
        "5m",
        {
            "en": Wording(
                "Requests fail with a server error.",
                "<value> of the requests to <job> ended with a 5xx status over the last 5 minutes; "
                "more than <limit> for <for>.",
            ),
            "ko": Wording(
                "요청이 서버 오류로 실패하고 있습니다.",
                "최근 5분간 <job> 요청의 <value>가 5xx 상태로 끝났습니다. 기준 <limit> 초과가 <for> 동안 지속되었습니다.",
            ),
        },
        limit=0.05,
        unit="share",
    ),
    Alert(
        "SlowResponses",
        "api_alerts",
        "warning",
        """\
histogram_quantile(0.95, sum by (job, le) (rate(http_request_duration_seconds_bucket[5m])))
  > <limit>
""",
        "10m",
        {
            "en": Wording(
                "One request in twenty is slow.",
                "95% of the requests to <job> take up to <value>; more than <limit> for <for>.",
            ),
            "ko": Wording(
                "응답이 느립니다 (P95).",
                "<job>의 P95 응답 시간이 <value>입니다. 기준 <limit> 초과가 <for> 동안 지속되었습니다.",
            ),
        },
        limit=2,
        unit="seconds",
        lasting="5m",
    ),
    Alert(
        "HighLatency",
        "api_alerts",
        "warning",
        """\
histogram_quantile(0.99, sum by (job, le) (rate(http_request_duration_seconds_bucket[5m])))
  > <limit>
""",
        "10m",
        {
            "en": Wording(
                "One request in a hundred is very slow.",
                "99% of the requests to <job> take up to <value>; more than <limit> for <for>.",
            ),
            "ko": Wording(
                "일부 응답이 매우 느립니다 (P99).",
                "<job>의 P99 응답 시간이 <value>입니다. 기준 <limit> 초과가 <for> 동안 지속되었습니다.",
            ),
        },
        limit=5,
        unit="seconds",
        lasting="5m",
    ),
)
