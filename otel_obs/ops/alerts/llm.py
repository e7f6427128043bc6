"""Alerts on calls of language models, and on the API keys of these calls."""

from __future__ import annotations

from otel_obs.ops.alerts.alert import Alert, Wording

ALERTS = (
    Alert(
        "LLMProviderFailing",
        "llm_alerts",
        "warning",
        """\
sum by (job, provider) (rate(llm_calls_total{status="error"}[5m]))
  / sum by (job, provider) (rate(llm_calls_total[5m]))
  > <limit>
""",
        "5m",
        {
            "en": Wording(
                "A provider of language models fails.",
                "<value> of the calls of <job> to <provider> failed over the last 5 minutes; "
                "more than <limit> for <for>.",
            ),
            "ko": Wording(
                "LLM 공급자 호출이 실패하고 있습니다.",
                "최근 5분간 <job>의 <provider> 호출 중 <value>가 실패했습니다. 기준 <limit> 초과가 <for> 동안 지속되었습니다.",
            ),
        },
        limit=0.2,
        unit="share",
        lasting="5m",
        dashboard="llm",
    ),
    # A key that has never worked has no series of successes: `or 0 * …` stands in for it.
    Alert(
        "APIKeyFailing",
        "llm_alerts",
        "warning",
        """\
sum by (job, key_id) (rate(api_key_failures_total[10m]))
  / (
    sum by (job, key_id) (rate(api_key_failures_total[10m]))
    + (
      sum by (job, key_id) (rate(api_key_successes_total[10m]))
      or 0 * sum by (job, key_id) (rate(api_key_failures_total[10m]))
    )
  )
  > <limit>
""",
        "10m",
        {
            "en": Wording(
                "An API key is refused.",
                "<value> of the calls of <job> with the key <key_id> failed over the last 10 minutes; "
                "more than <limit> for <for>.",
            ),
            "ko": Wording(
                "API 키 호출이 실패하고 있습니다.",
                "최근 10분간 <job>의 키 <key_id> 호출 중 <value>가 실패했습니다. 기준 <limit> 초과가 <for> 동안 지속되었습니다.",
            ),
        },
        limit=0.5,
        unit="share",
        dashboard="llm",
    ),
)
