"""Panels on errors, workers and their runtime, objectives, and alerts."""

from __future__ import annotations

from otel_obs.ops.panels.panel import (
    GREEN,
    OUTCOMES,
    RED,
    YELLOW,
    Caption,
    Curve,
    Panel,
    Section,
    percentile,
    quantiles,
)

_FAILED = (
    'sum by (endpoint, status_code) (rate(http_requests_total{status_code=~"[45].."}[$__rate_interval]))'
)

ERRORS = Section(
    "Errors of the application",
    "애플리케이션 오류",
    (
        Panel(
            "errors-by-component",
            "timeseries",
            "cpm",
            Caption("Errors by component", "Per minute: in which part of the application."),
            Caption("구성 요소별 오류", "분당 오류 수입니다."),
            (Curve("60 * sum by (component) (rate(errors_total[$__rate_interval]))", "{{component}}"),),
            is_stacked=True,
        ),
        Panel(
            "errors-by-type",
            "timeseries",
            "cpm",
            Caption("Errors by type", "Per minute: which kind of error."),
            Caption("종류별 오류", "분당 오류 수입니다."),
            (Curve("60 * sum by (error_type) (rate(errors_total[$__rate_interval]))", "{{error_type}}"),),
            is_stacked=True,
        ),
    ),
)
FAILING = Section(
    "Requests that fail",
    "실패하는 요청",
    (
        Panel(
            "errors-over-time",
            "timeseries",
            "reqps",
            Caption("Failed requests over time", "Those with 4xx and 5xx, per second, by endpoint."),
            Caption("실패 추이", "4xx와 5xx로 끝난 요청의 초당 수입니다. 엔드포인트별입니다."),
            (Curve(_FAILED, "{{endpoint}} {{status_code}}"),),
            is_stacked=True,
            colours=OUTCOMES,
        ),
        Panel(
            "errors-endpoints",
            "bargauge",
            "reqps",
            Caption("Failed requests by endpoint", "The ten endpoints with most 4xx and 5xx, per second."),
            Caption("엔드포인트별 실패", "4xx와 5xx가 가장 많은 엔드포인트 열 곳입니다."),
            (Curve(f"topk(10, {_FAILED})", "{{endpoint}} {{status_code}}"),),
            colours=OUTCOMES,
        ),
    ),
)

WORKERS = Section(
    "Workers",
    "워커",
    (
        Panel(
            "workers-live",
            "timeseries",
            "short",
            Caption("Live workers", "Workers of each instance that have joined the service."),
            Caption("살아 있는 워커", "인스턴스별 워커 수입니다."),
            (Curve("sum by (instance) (otel_obs_workers)", "{{instance}}"),),
            decimals=0,
            width=8,
        ),
        Panel(
            "workers-started",
            "timeseries",
            "short",
            Caption(
                "Workers that started",
                "Within 15 minutes. WorkersFlapping fires at three times the number of workers.",
            ),
            Caption(
                "시작된 워커",
                "최근 15분 동안 시작된 워커입니다. 워커 수의 3배에서 WorkersFlapping이 발생합니다.",
            ),
            (Curve("sum by (instance) (increase(otel_obs_workers_started_total[15m]))", "{{instance}}"),),
            decimals=0,
            soft_high=5,
            width=8,
        ),
        Panel(
            "workers-memory",
            "timeseries",
            "bytes",
            Caption("Memory of each worker", "A worker that leaks does not show in a sum."),
            Caption("워커별 메모리", "메모리가 새는 워커는 합계로는 보이지 않습니다."),
            (Curve("max by (instance, worker) (otel_obs_worker_memory_bytes)", "{{instance}} {{worker}}"),),
            width=8,
        ),
        Panel(
            "workers-cpu",
            "timeseries",
            "percent",
            Caption("CPU of each worker", "In percent of one core."),
            Caption("워커별 CPU", "코어 하나에 대한 비율입니다."),
            (Curve("max by (instance, worker) (otel_obs_worker_cpu_percent)", "{{instance}} {{worker}}"),),
            steps=((None, GREEN), (70, YELLOW), (90, RED)),
            width=8,
        ),
        Panel(
            "workers-threads",
            "timeseries",
            "short",
            Caption("Threads of each worker", "A number that only rises is a leak."),
            Caption("워커별 스레드", "계속 늘기만 하면 누수입니다."),
            (Curve("max by (instance, worker) (otel_obs_worker_threads)", "{{instance}} {{worker}}"),),
            decimals=0,
            width=8,
        ),
        Panel(
            "workers-fds",
            "timeseries",
            "short",
            Caption("Open files of each worker", "Descriptors of files and sockets."),
            Caption("워커별 열린 파일", "파일과 소켓 디스크립터 수입니다."),
            (Curve("max by (instance, worker) (otel_obs_worker_open_fds)", "{{instance}} {{worker}}"),),
            decimals=0,
            width=8,
        ),
    ),
)
RUNTIME = Section(
    "Runtime",
    "런타임",
    (
        Panel(
            "system-memory",
            "timeseries",
            "percent",
            Caption("Memory of the machine", "In use. HighMemoryUsage fires at 90%."),
            Caption("시스템 메모리", "사용률입니다. 90%에서 HighMemoryUsage 알림이 발생합니다."),
            (Curve("max by (instance) (system_memory_percent)", "{{instance}}"),),
            steps=((None, GREEN), (80, YELLOW), (90, RED)),
            high=100,
            width=8,
        ),
        Panel(
            "system-cpu",
            "timeseries",
            "percent",
            Caption("CPU of the machine", "In use, over all cores."),
            Caption("시스템 CPU", "모든 코어의 사용률입니다."),
            (Curve("max by (instance) (system_cpu_percent)", "{{instance}}"),),
            steps=((None, GREEN), (80, YELLOW), (95, RED)),
            high=100,
            width=8,
        ),
        Panel(
            "gc-pauses",
            "timeseries",
            "s",
            Caption("Pauses for garbage collection", "P99 by generation."),
            Caption("GC 일시 정지", "세대별 P99입니다."),
            (
                Curve(
                    percentile("0.99", "python_gc_pause_seconds", "generation"),
                    "generation {{generation}}",
                ),
            ),
            width=8,
        ),
        Panel(
            "loop-lag",
            "timeseries",
            "s",
            Caption("Lag of the event loop", "How late callbacks run. EventLoopLag fires at 0.5 s (P99)."),
            Caption(
                "이벤트 루프 지연",
                "콜백이 늦게 실행된 시간입니다. P99가 0.5초이면 EventLoopLag이 발생합니다.",
            ),
            quantiles("event_loop_lag_seconds"),
            steps=((None, GREEN), (0.1, YELLOW), (0.5, RED)),
        ),
        Panel(
            "own-series",
            "timeseries",
            "short",
            Caption("Series", "That a scrape of an instance shows, over all workers."),
            Caption("시계열 수", "인스턴스의 수집 한 번에 나타나는 시계열입니다."),
            (Curve("sum by (instance) (otel_obs_series)", "{{instance}}"),),
            decimals=0,
        ),
        Panel(
            "scrape-duration",
            "timeseries",
            "s",
            Caption(
                "Duration of a scrape", "As Prometheus measures it; beyond scrape_timeout the target is down."
            ),
            Caption(
                "수집 시간", "Prometheus가 잰 시간입니다. scrape_timeout을 넘으면 대상이 다운으로 처리됩니다."
            ),
            (Curve("max by (instance) (scrape_duration_seconds)", "{{instance}}"),),
        ),
    ),
)

BUDGET = Panel(
    "slo-budget",
    "stat",
    "percentunit",
    Caption("Budget left", "Of 30 days, by objective; below 0 the objective is missed."),
    Caption("남은 오류 예산", "30일 기준, 목표별입니다. 0보다 작으면 목표를 지키지 못한 것입니다."),
    (Curve("min by (slo) (job:slo_budget_left:ratio30d)", "{{slo}}"),),
    steps=((None, RED), (0, YELLOW), (0.25, GREEN)),
    low=None,
    width=8,
    decimals=1,
    has_course=False,
)
GOOD = Panel(
    "slo-good",
    "stat",
    "percentunit",
    Caption("Good requests", "Of the last hour, by objective."),
    Caption("정상 요청 비율", "최근 1시간, 목표별입니다."),
    (Curve("1 - max by (slo) (job:slo_failed:ratio_rate1h)", "{{slo}}"),),
    width=8,
    decimals=2,
    has_course=False,
)
TARGET = Panel(
    "slo-target",
    "stat",
    "percentunit",
    Caption("Objective", "The share of requests that is promised to be good."),
    Caption("목표", "약속한 정상 요청 비율입니다."),
    (Curve("max by (slo) (job:slo_objective:ratio)", "{{slo}}"),),
    width=8,
    has_course=False,
)
BURN = Panel(
    "slo-burn",
    "timeseries",
    "none",
    Caption(
        "Burn rate",
        "How many times faster than the objective allows the budget goes, by window; 14.4 in an hour pages.",
    ),
    Caption("소진 속도", "목표가 허용하는 속도의 몇 배인지, 창별입니다. 1시간에 14.4배이면 호출합니다."),
    tuple(
        Curve(
            f"max by (slo) (job:slo_failed:ratio_rate{window}) / (1 - max by (slo) (job:slo_objective:ratio))",
            f"{{{{slo}}}} {window}",
        )
        for window in ("5m", "1h", "6h")
    ),
    steps=((None, GREEN), (1, YELLOW), (14.4, RED)),
    soft_high=16,
)
OVER_TIME = Panel(
    "slo-budget-over-time",
    "timeseries",
    "percentunit",
    Caption("Budget left over time", "Of 30 days, by objective."),
    Caption("남은 예산 추이", "30일 기준, 목표별입니다."),
    (Curve("min by (slo) (job:slo_budget_left:ratio30d)", "{{slo}}"),),
    steps=((None, RED), (0, YELLOW), (0.25, GREEN)),
    low=None,
    high=1,
)
SLO = Section("Objectives", "서비스 수준 목표", (BUDGET, GOOD, TARGET, BURN, OVER_TIME))

ALERTS = Section(
    "Alerts",
    "알림",
    (
        Panel(
            "alerts-firing",
            "alerts",
            "short",
            Caption("Firing now", "Watchdog always fires: where it is missing, alerts do not work."),
            Caption("발생 중인 알림", "Watchdog은 항상 발생합니다. 없으면 알림이 동작하지 않는 것입니다."),
            (
                # The value encodes the severity, which chooses the colour.
                Curve(
                    "max by (alertname) ("
                    '2 * ALERTS{alertstate="firing",severity="critical"}'
                    ' or ALERTS{alertstate="firing",severity="warning"}'
                    ' or 0 * ALERTS{alertstate="firing",severity="none"})',
                    "{{alertname}}",
                ),
            ),
            steps=((None, GREEN), (1, YELLOW), (2, RED)),
        ),
        Panel(
            "alerts-over-time",
            "timeseries",
            "short",
            Caption("Alerts over time", "Pending and firing, by name."),
            Caption("알림 추이", "대기 중이거나 발생 중인 알림입니다."),
            (
                Curve(
                    "sum by (alertname, alertstate) (ALERTS)",
                    "{{alertname}} {{alertstate}}",
                ),
            ),
            is_stacked=True,
            decimals=0,
        ),
    ),
)
