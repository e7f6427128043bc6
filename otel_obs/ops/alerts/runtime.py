"""Alerts on the running service: targets, workers, memory, the event loop, and the metrics themselves."""

from __future__ import annotations

from otel_obs.ops.alerts.alert import Alert, Wording

ALERTS = (
    Alert(
        "TargetDown",
        "service_alerts",
        "critical",
        "max by (job, instance) (up) == 0",
        "2m",
        {
            "en": Wording(
                "A target does not answer Prometheus.",
                "<instance> of <job> has not answered a scrape for <for>.",
            ),
            "ko": Wording(
                "대상이 Prometheus에 응답하지 않습니다.",
                "<job>의 <instance>가 <for> 동안 수집 요청에 응답하지 않았습니다.",
            ),
        },
        dashboard="overview",
    ),
    # TargetDown covers a target that is down; this is for a job that is not scraped, or whose target is
    # another program.
    Alert(
        "MetricsAbsent",
        "service_alerts",
        "critical",
        "absent(otel_obs_workers) unless on (job) (up == 0)",
        "5m",
        {
            "en": Wording(
                "A service has no metrics at all.",
                "For <for>, no target of the job <job> has shown otel_obs_workers: nobody scrapes it, or another "
                "program answers in its place. Its other alerts are blind.",
            ),
            "ko": Wording(
                "서비스의 메트릭이 전혀 없습니다.",
                "<for> 동안 작업 <job>의 어떤 대상에서도 otel_obs_workers가 수집되지 않았습니다. "
                "수집이 설정되지 않았거나 다른 프로그램이 응답하고 있습니다. 다른 알림도 동작하지 않습니다.",
            ),
        },
        dashboard="overview",
    ),
    Alert(
        "HighMemoryUsage",
        "service_alerts",
        "warning",
        "max by (job, instance) (system_memory_percent) > <limit>",
        "5m",
        {
            "en": Wording(
                "The memory of a machine is nearly full.",
                "The machine of <instance> uses <value> of its memory; more than <limit> for <for>.",
            ),
            "ko": Wording(
                "메모리 사용량이 높습니다.",
                "<instance> 시스템의 메모리 사용률이 <value>입니다. 기준 <limit> 초과가 <for> 동안 지속되었습니다.",
            ),
        },
        limit=90,
        unit="percent",
        dashboard="runtime",
    ),
    Alert(
        "EventLoopLag",
        "service_alerts",
        "warning",
        """\
histogram_quantile(0.99, sum by (job, instance, le) (rate(event_loop_lag_seconds_bucket[5m])))
  > <limit>
""",
        "10m",
        {
            "en": Wording(
                "Something blocks the event loop.",
                "The event loop of <instance> is late by up to <value> (P99); more than <limit> for <for>.",
            ),
            "ko": Wording(
                "이벤트 루프가 지연되고 있습니다.",
                "<instance>의 이벤트 루프 지연(P99)이 <value>입니다. 기준 <limit> 초과가 <for> 동안 지속되었습니다.",
            ),
        },
        limit=0.5,
        unit="seconds",
        lasting="5m",
        dashboard="runtime",
    ),
    Alert(
        "WorkersFlapping",
        "service_alerts",
        "warning",
        """\
sum by (job, instance) (increase(otel_obs_workers_started_total[15m]))
  > <limit> * max by (job, instance) (otel_obs_workers)
""",
        "5m",
        {
            "en": Wording(
                "Workers die and are replaced again and again.",
                "<value> workers of <instance> have started within 15 minutes: each place more than <limit> times.",
            ),
            "ko": Wording(
                "워커가 반복적으로 종료되고 재시작됩니다.",
                "<instance>에서 15분 동안 워커 <value>개가 시작되었습니다. 자리마다 <limit>회를 넘습니다.",
            ),
        },
        limit=3,
        lasting="10m",
        dashboard="runtime",
    ),
    # Prometheus drops `__name__` from alerts: without a label `metric`, two metrics would be the same alert.
    Alert(
        "CardinalityOverflow",
        "service_alerts",
        "warning",
        """\
count by (job, metric) (
  label_replace({otel_metric_overflow="true"}, "metric", "$1", "__name__", "(.+?)(_bucket|_sum|_count|_created)?")
)
""",
        "10m",
        {
            "en": Wording(
                "A metric has more label sets than its limit.",
                "<metric> of <job> puts what is beyond its limit into one series: queries that filter it by a "
                "label show too little.",
            ),
            "ko": Wording(
                "메트릭의 레이블 조합이 한도를 넘었습니다.",
                "<job>의 <metric>에서 한도를 넘은 값이 하나의 시계열로 합쳐집니다. 레이블로 거른 쿼리는 실제보다 적게 보입니다.",
            ),
        },
        dashboard="runtime",
    ),
    Alert(
        "MeasurementsDropped",
        "service_alerts",
        "warning",
        "sum by (job, reason) (increase(otel_obs_dropped_measurements_total[15m])) > <limit>",
        "5m",
        {
            "en": Wording(
                "Measurements are dropped.",
                "<job> has dropped <value> measurements within 15 minutes, for the reason {{ $labels.reason }}; "
                "its log has the first of each kind.",
            ),
            "ko": Wording(
                "측정값이 버려지고 있습니다.",
                "<job>에서 15분 동안 측정값 <value>개가 버려졌습니다. 사유: {{ $labels.reason }}. 종류별 첫 사례는 로그에 있습니다.",
            ),
        },
        limit=0,
        lasting="10m",
        dashboard="runtime",
    ),
    Alert(
        "Watchdog",
        "service_alerts",
        "none",
        "vector(1)",
        "",
        {
            "en": Wording(
                "Always fires, so that silence means that alerting is broken.",
                "Send this to a dead man's switch: a receiver that calls when it hears nothing.",
            ),
            "ko": Wording(
                "항상 발생하는 알림입니다. 끊기면 알림 경로가 고장난 것입니다.",
                "이 알림을 데드맨 스위치로 보내십시오. 신호가 끊기면 그쪽에서 알립니다.",
            ),
        },
        # Without this label, the rules of two services would write the same `ALERTS` series.
        labels={"job": "<job>"},
    ),
)
