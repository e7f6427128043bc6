"""Panels on requests: rate, errors, duration, saturation, and websockets."""

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
    heat,
    percentile,
    quantiles,
)

_ALL = "sum(rate(http_requests_total[$__rate_interval]))"
_BAD = 'sum(rate(http_requests_total{status_code=~"5.."}[$__rate_interval]))'
_SHARE: tuple[tuple[float | None, str], ...] = ((None, GREEN), (0.01, YELLOW), (0.05, RED))
_SECONDS: tuple[tuple[float | None, str], ...] = ((None, GREEN), (1, YELLOW), (2, RED))
_DURATION = "http_request_duration_seconds"

RATE = Panel(
    "http-rate-now",
    "stat",
    "reqps",
    Caption("Requests per second", "All requests of the chosen instances, over all their workers."),
    Caption("초당 요청 수", "선택한 인스턴스의 모든 워커에 들어온 요청입니다."),
    (Curve(_ALL),),
    width=4,
)
FAILED = Panel(
    "http-failed-now",
    "stat",
    "percentunit",
    Caption(
        "Server errors", "The share of requests that ended with a 5xx status. HighErrorRate fires at 5%."
    ),
    Caption("서버 오류율", "5xx 상태로 끝난 요청의 비율입니다. 5%에서 HighErrorRate 알림이 발생합니다."),
    (Curve(f"({_BAD} or 0 * {_ALL}) / {_ALL}"),),
    steps=_SHARE,
    width=4,
    decimals=2,
)
P95 = Panel(
    "http-p95-now",
    "stat",
    "s",
    Caption("P95 duration", "95% of the requests are quicker. SlowResponses fires at 2 s."),
    Caption("P95 응답 시간", "요청의 95%가 이 시간 안에 끝납니다. 2초에서 SlowResponses 알림이 발생합니다."),
    (Curve(percentile("0.95", _DURATION)),),
    steps=_SECONDS,
    width=4,
)
IN_PROGRESS = Panel(
    "http-in-progress-now",
    "stat",
    "short",
    Caption("In progress", "Requests that workers are answering at this moment."),
    Caption("처리 중 요청", "지금 워커가 처리하고 있는 요청 수입니다."),
    (Curve("sum(http_requests_in_progress)"),),
    width=4,
)
WORKERS = Panel(
    "workers-now",
    "stat",
    "short",
    Caption("Workers", "Live workers that have joined the service."),
    Caption("워커", "서비스에 합류한, 살아 있는 워커 수입니다."),
    (Curve("sum(otel_obs_workers)"),),
    steps=((None, RED), (1, GREEN)),
    width=4,
)
TARGETS = Panel(
    "targets-up-now",
    "stat",
    "percentunit",
    Caption("Targets up", "The share of instances that answer Prometheus. TargetDown fires after 2 minutes."),
    Caption(
        "대상 가동률", "Prometheus에 응답하는 인스턴스의 비율입니다. 2분 뒤 TargetDown 알림이 발생합니다."
    ),
    (Curve("avg(up)"),),
    steps=((None, RED), (0.5, YELLOW), (1, GREEN)),
    width=4,
    high=1,
)
NOW = Section("Now", "현재 상태", (RATE, FAILED, P95, IN_PROGRESS, WORKERS, TARGETS))

BY_STATUS = Panel(
    "http-by-status",
    "timeseries",
    "reqps",
    Caption("Requests by status", "What requests ended with; 499 is a client that went away."),
    Caption("상태별 요청", "요청의 결과 상태입니다. 499는 클라이언트가 먼저 끊은 경우입니다."),
    (Curve("sum by (status_code) (rate(http_requests_total[$__rate_interval]))", "{{status_code}}"),),
    is_stacked=True,
    colours=OUTCOMES,
)
BY_ENDPOINT = Panel(
    "http-by-endpoint",
    "timeseries",
    "reqps",
    Caption("Requests by endpoint", "By the route's template; __unmatched__ is what no route matched."),
    Caption(
        "엔드포인트별 요청", "라우트 템플릿 기준입니다. __unmatched__는 일치하는 라우트가 없는 요청입니다."
    ),
    (Curve("sum by (endpoint) (rate(http_requests_total[$__rate_interval]))", "{{endpoint}}"),),
    is_stacked=True,
)
HEATMAP = Panel(
    "http-heatmap",
    "heatmap",
    "s",
    Caption("Durations", "How many requests took how long. Diamonds are exemplars: they lead to traces."),
    Caption("응답 시간 분포", "응답 시간 구간별 요청 수입니다. 마름모는 추적으로 이어지는 예시입니다."),
    heat(_DURATION),
)
QUANTILES = Panel(
    "http-quantiles",
    "timeseries",
    "s",
    Caption("Percentiles of durations", "Half, 95% and 99% of the requests are quicker than this."),
    Caption("응답 시간 백분위수", "요청의 50%, 95%, 99%가 이 시간 안에 끝납니다."),
    quantiles(_DURATION, has_exemplars=True),
    steps=_SECONDS,
)
P95_BY_ENDPOINT = Panel(
    "http-p95-by-endpoint",
    "timeseries",
    "s",
    Caption("P95 by endpoint", "95% of the requests of each endpoint are quicker than this."),
    Caption("엔드포인트별 P95", "엔드포인트마다 요청의 95%가 이 시간 안에 끝납니다."),
    (Curve(percentile("0.95", _DURATION, "endpoint"), "{{endpoint}}"),),
)
ERROR_SHARE = Panel(
    "http-error-share",
    "timeseries",
    "percentunit",
    Caption(
        "Share of errors", "Requests that ended with 4xx, the client's faults, and with 5xx, the service's."
    ),
    Caption("오류율", "4xx(클라이언트 오류)와 5xx(서버 오류)로 끝난 요청의 비율입니다."),
    (
        Curve(
            f'(sum(rate(http_requests_total{{status_code=~"4.."}}[$__rate_interval])) or 0 * {_ALL}) / {_ALL}',
            "4xx",
        ),
        Curve(f"({_BAD} or 0 * {_ALL}) / {_ALL}", "5xx"),
    ),
    steps=_SHARE,
    colours=OUTCOMES,
    soft_high=0.06,
)
FIRST_BYTE = Panel(
    "http-first-byte",
    "timeseries",
    "s",
    Caption("Time to the first byte", "Of streamed answers: when the first part of the body left."),
    Caption("첫 바이트까지의 시간", "스트리밍 응답에서 본문의 첫 부분이 나간 시간입니다."),
    quantiles("http_response_first_byte_seconds"),
)
REQUESTS = Section(
    "Requests",
    "요청",
    (BY_STATUS, BY_ENDPOINT, HEATMAP, QUANTILES, ERROR_SHARE, P95_BY_ENDPOINT, FIRST_BYTE),
)

PROGRESS = Panel(
    "http-in-progress",
    "timeseries",
    "short",
    Caption("Requests in progress", "By method. A rise without more requests per second is a queue."),
    Caption("처리 중 요청 추이", "메서드별입니다. 요청이 늘지 않았는데 증가하면 대기열이 생긴 것입니다."),
    (Curve("sum by (method) (http_requests_in_progress)", "{{method}}"),),
    decimals=0,
    width=8,
)
CPU = Panel(
    "cpu-per-worker",
    "timeseries",
    "percentunit",
    Caption(
        "CPU of each worker", "The part of one core that a worker uses on average; at 100% it cannot do more."
    ),
    Caption("워커당 CPU", "워커 하나가 쓰는 평균 코어 비율입니다. 100%이면 더 처리할 수 없습니다."),
    (
        Curve(
            "sum by (instance) (rate(process_cpu_seconds_total[$__rate_interval]))"
            " / max by (instance) (otel_obs_workers)",
            "{{instance}}",
        ),
    ),
    steps=((None, GREEN), (0.7, YELLOW), (0.9, RED)),
    width=8,
)
MEMORY = Panel(
    "memory-rss",
    "timeseries",
    "bytes",
    Caption("Memory", "Resident memory of all workers of an instance."),
    Caption("메모리", "인스턴스의 모든 워커가 차지한 상주 메모리입니다."),
    (Curve('sum by (instance) (process_memory_bytes{type="rss"})', "{{instance}}"),),
    width=8,
)
SATURATION = Section("Saturation", "포화도", (PROGRESS, CPU, MEMORY))

WEBSOCKETS = Section(
    "Websockets",
    "웹소켓",
    (
        Panel(
            "ws-open",
            "timeseries",
            "short",
            Caption("Open connections", "Websockets that are open, by endpoint."),
            Caption("열린 연결", "엔드포인트별로 열려 있는 웹소켓입니다."),
            (Curve("sum by (endpoint) (websocket_connections_open)", "{{endpoint}}"),),
            decimals=0,
            width=8,
        ),
        Panel(
            "ws-messages",
            "timeseries",
            "cps",
            Caption("Messages", "Messages per second, in and out."),
            Caption("메시지", "초당 수신 및 발신 메시지 수입니다."),
            (
                Curve(
                    "sum by (direction) (rate(websocket_messages_total[$__rate_interval]))", "{{direction}}"
                ),
            ),
            width=8,
        ),
        Panel(
            "ws-closed",
            "timeseries",
            "cps",
            Caption(
                "Closed connections", "By the code that they were closed with; 1000 and 1001 are regular."
            ),
            Caption("종료된 연결", "종료 코드별입니다. 1000과 1001은 정상입니다."),
            (
                Curve(
                    "sum by (close_code) (rate(websocket_connections_total[$__rate_interval]))",
                    "{{close_code}}",
                ),
            ),
            width=8,
        ),
    ),
)
