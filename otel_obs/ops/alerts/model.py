"""Alerts on a model and its cache."""

from __future__ import annotations

from otel_obs.ops.alerts.alert import Alert, Wording

ALERTS = (
    # A target that is down counts as one without a loaded model, so that its failure does not end the alert.
    Alert(
        "ModelNotLoaded",
        "model_alerts",
        "critical",
        """\
max by (job, instance) (model_state) != 1
or
(0 * max by (job, instance) (up) unless max by (job, instance) (model_state))
""",
        "1m",
        {
            "en": Wording(
                "A model is not loaded.",
                "The model of <job> at <instance> is <value>, for <for>; one worker is enough for that.",
            ),
            "ko": Wording(
                "모델이 로드되지 않았습니다.",
                "<job>의 <instance> 모델 상태: <value>. <for> 동안 지속되었습니다. 워커 하나만 문제여도 알립니다.",
            ),
        },
        unit="state",
        dashboard="model",
    ),
    Alert(
        "CacheCollapse",
        "model_alerts",
        "warning",
        """\
(
  sum by (job) (rate(cache_hits_total[15m]))
    / (sum by (job) (rate(cache_hits_total[15m])) + sum by (job) (rate(cache_misses_total[15m])))
)
  < <limit> * (
  sum by (job) (rate(cache_hits_total[6h]))
    / (sum by (job) (rate(cache_hits_total[6h])) + sum by (job) (rate(cache_misses_total[6h])))
)
and (sum by (job) (increase(cache_hits_total[15m])) + sum by (job) (increase(cache_misses_total[15m]))) >= 50
""",
        "15m",
        {
            "en": Wording(
                "A cache has stopped helping.",
                "Over the last 15 minutes <value> of the lookups of <job> were hits, less than half of what "
                "the last 6 hours had.",
            ),
            "ko": Wording(
                "캐시 적중률이 급락했습니다.",
                "최근 15분간 <job>의 캐시 적중률은 <value>이며, 최근 6시간 적중률의 절반에도 미치지 못합니다.",
            ),
        },
        limit=0.5,
        unit="share",
        lasting="15m",
        dashboard="model",
    ),
)
