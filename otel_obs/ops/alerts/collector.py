"""Alerts on an OpenTelemetry Collector between the service and the store."""

from __future__ import annotations

from otel_obs.ops.alerts.alert import Alert, Wording

# The collector is scraped as a job of its own: a `job` matcher here keeps the service's from being added.
ALERTS = (
    Alert(
        "CollectorDroppingData",
        "collector_alerts",
        "critical",
        """\
sum by (job, instance, exporter) (rate(otelcol_exporter_send_failed_metric_points{job=~".+"}[5m])) > <limit>
or
sum by (job, instance, exporter) (rate(otelcol_exporter_enqueue_failed_metric_points{job=~".+"}[5m])) > <limit>
""",
        "5m",
        {
            "en": Wording(
                "A collector loses data.",
                "The collector at {{ $labels.instance }} gives up <value> data points a second that "
                "{{ $labels.exporter }} does not take.",
            ),
            "ko": Wording(
                "수집기가 데이터를 잃고 있습니다.",
                "{{ $labels.instance }} 수집기가 {{ $labels.exporter }}로 보내지 못한 데이터 포인트를 초당 <value>개 버리고 있습니다.",
            ),
        },
        limit=0,
        unit="rate",
        # Without this label, the rules of two services would write the same `ALERTS` series.
        labels={"service": "<job>"},
        lasting="5m",
    ),
)
