"""What each alert has to say, and to what: series by the minute, and literal labels and texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

TARGET = 'job="service",instance="a:8000"'


class Scenario(NamedTuple):
    """One alert and its series.

    Attributes:
        alert: Its name.
        bad: Series for which it fires; a counter's step in a minute, or a gauge's value.
        good: The same series while all is well; None for a series that is not there.
        fires_at: Minutes of `bad` after which it has fired, and not much more.
        labels: Those of the alert that fires.
        en: Summary and description.
        ko: The same in Korean.
        is_gauge: Whether the series are gauges.
        lead: Minutes of `good` before.
        ends_after: Minutes of `good` after which it has ended.
        missing: Series that have never been, without which it must not fire; empty where it is about absence.
    """

    alert: str
    bad: Mapping[str, float | None]
    good: Mapping[str, float | None]
    fires_at: int
    labels: Mapping[str, str]
    en: tuple[str, str]
    ko: tuple[str, str]
    is_gauge: bool = False
    lead: int = 0
    ends_after: int = 30
    missing: tuple[str, ...] = ()


def _series(name: str, labels: str = "") -> str:
    return f"{name}{{{TARGET}{',' if labels else ''}{labels}}}"


def _requests(status: str) -> str:
    return _series("http_requests_total", f'endpoint="/x",method="GET",status_code="{status}"')


def _buckets(family: str, counts: Mapping[str, float], labels: str = "") -> dict[str, float | None]:
    comma = "," if labels else ""
    return {
        _series(f"{family}_bucket", f'{labels}{comma}le="{bound}"'): count for bound, count in counts.items()
    }


_DURATION = "http_request_duration_seconds"
_REQUEST = 'endpoint="/x",method="GET"'
_FAST = _buckets(_DURATION, {"1.0": 60, "2.5": 60, "5.0": 60, "10.0": 60, "+Inf": 60}, _REQUEST)
_LOADED = _series("model_state")
_UP = _series("up")
_HITS, _MISSES = _series("cache_hits_total"), _series("cache_misses_total")
_WORKERS, _STARTED = _series("otel_obs_workers"), _series("otel_obs_workers_started_total")
_FAILED_CALLS = _series("llm_calls_total", 'provider="gemini",status="error"')
_GOOD_CALLS = _series("llm_calls_total", 'provider="gemini",status="success"')
_FAILED_KEY = _series("api_key_failures_total", 'key_id="spare"')
_GOOD_KEY = _series("api_key_successes_total", 'key_id="spare"')
_OVERFLOW = _series("orders_total", 'otel_metric_overflow="true"')
_OVERFLOWN = _series("basket_value_bucket", 'otel_metric_overflow="true",le="10.0"')
_DROPPED = _series("otel_obs_dropped_measurements_total", 'reason="secret"')
_UNSENT = 'otelcol_exporter_send_failed_metric_points{job="otelcol",instance="c:8888",exporter="prometheusremotewrite"}'
_JOB = {"job": "service"}
_INSTANCE = {"job": "service", "instance": "a:8000"}

SCENARIOS = (
    Scenario(
        "HighErrorRate",
        {_requests("200"): 54, _requests("500"): 6},
        {_requests("200"): 58, _requests("500"): 2},
        7,
        {**_JOB, "severity": "critical"},
        (
            "Requests fail with a server error.",
            "10% of the requests to service ended with a 5xx status over the last 5 minutes; more than 5% for 5m.",
        ),
        (
            "요청이 서버 오류로 실패하고 있습니다.",
            "최근 5분간 service 요청의 10%가 5xx 상태로 끝났습니다. 기준 5% 초과가 5m 동안 지속되었습니다.",
        ),
        missing=(_requests("500"),),
    ),
    Scenario(
        "SlowResponses",
        _buckets(_DURATION, {"1.0": 40, "2.5": 50, "5.0": 60, "10.0": 60, "+Inf": 60}, _REQUEST),
        _FAST,
        13,
        {**_JOB, "severity": "warning"},
        (
            "One request in twenty is slow.",
            "95% of the requests to service take up to 4.25s; more than 2s for 10m.",
        ),
        (
            "응답이 느립니다 (P95).",
            "service의 P95 응답 시간이 4.25s입니다. 기준 2s 초과가 10m 동안 지속되었습니다.",
        ),
        missing=tuple(_FAST),
    ),
    Scenario(
        "HighLatency",
        _buckets(_DURATION, {"1.0": 40, "2.5": 50, "5.0": 54, "10.0": 60, "+Inf": 60}, _REQUEST),
        _FAST,
        13,
        {**_JOB, "severity": "warning"},
        (
            "One request in a hundred is very slow.",
            "99% of the requests to service take up to 9.5s; more than 5s for 10m.",
        ),
        (
            "일부 응답이 매우 느립니다 (P99).",
            "service의 P99 응답 시간이 9.5s입니다. 기준 5s 초과가 10m 동안 지속되었습니다.",
        ),
        missing=tuple(_FAST),
    ),
    Scenario(
        "ModelNotLoaded",
        {_LOADED: 2, _UP: 1},
        {_LOADED: 1, _UP: 1},
        2,
        {**_INSTANCE, "severity": "critical"},
        (
            "A model is not loaded.",
            "The model of service at a:8000 is in error, for 1m; one worker is enough for that.",
        ),
        (
            "모델이 로드되지 않았습니다.",
            "service의 a:8000 모델 상태: 오류. 1m 동안 지속되었습니다. 워커 하나만 문제여도 알립니다.",
        ),
        is_gauge=True,
        missing=(_LOADED, _UP),
    ),
    # The state of a dead target is not known: that must not end the alert, and begins one.
    Scenario(
        "ModelNotLoaded",
        {_LOADED: None, _UP: 0},
        {_LOADED: 1, _UP: 1},
        7,
        {**_INSTANCE, "severity": "critical"},
        (
            "A model is not loaded.",
            "The model of service at a:8000 is not loaded, or nobody can tell, for 1m; one worker is enough for that.",
        ),
        (
            "모델이 로드되지 않았습니다.",
            (
                "service의 a:8000 모델 상태: 로드되지 않음 또는 알 수 없음. 1m 동안 지속되었습니다. "
                "워커 하나만 문제여도 알립니다."
            ),
        ),
        is_gauge=True,
        missing=(_LOADED, _UP),
    ),
    Scenario(
        "CacheCollapse",
        {_HITS: 5, _MISSES: 55},
        {_HITS: 48, _MISSES: 12},
        40,
        {**_JOB, "severity": "warning"},
        (
            "A cache has stopped helping.",
            (
                "Over the last 15 minutes 8.333% of the lookups of service were hits, less than half of what the last "
                "6 hours had."
            ),
        ),
        (
            "캐시 적중률이 급락했습니다.",
            "최근 15분간 service의 캐시 적중률은 8.333%이며, 최근 6시간 적중률의 절반에도 미치지 못합니다.",
        ),
        lead=360,
        ends_after=60,
        missing=(_HITS,),
    ),
    Scenario(
        "LLMProviderFailing",
        {_FAILED_CALLS: 6, _GOOD_CALLS: 6},
        {_FAILED_CALLS: 1, _GOOD_CALLS: 11},
        8,
        {**_JOB, "provider": "gemini", "severity": "warning"},
        (
            "A provider of language models fails.",
            "50% of the calls of service to gemini failed over the last 5 minutes; more than 20% for 5m.",
        ),
        (
            "LLM 공급자 호출이 실패하고 있습니다.",
            "최근 5분간 service의 gemini 호출 중 50%가 실패했습니다. 기준 20% 초과가 5m 동안 지속되었습니다.",
        ),
        missing=(_FAILED_CALLS,),
    ),
    Scenario(
        "APIKeyFailing",
        {_FAILED_KEY: 9, _GOOD_KEY: 3},
        {_FAILED_KEY: 1, _GOOD_KEY: 11},
        13,
        {**_JOB, "key_id": "spare", "severity": "warning"},
        (
            "An API key is refused.",
            "75% of the calls of service with the key spare failed over the last 10 minutes; more than 50% for 10m.",
        ),
        (
            "API 키 호출이 실패하고 있습니다.",
            "최근 10분간 service의 키 spare 호출 중 75%가 실패했습니다. 기준 50% 초과가 10m 동안 지속되었습니다.",
        ),
        missing=(_FAILED_KEY,),
    ),
    # A key that has never worked.
    Scenario(
        "APIKeyFailing",
        {_FAILED_KEY: 9, _GOOD_KEY: None},
        {_FAILED_KEY: 0, _GOOD_KEY: 11},
        13,
        {**_JOB, "key_id": "spare", "severity": "warning"},
        (
            "An API key is refused.",
            "100% of the calls of service with the key spare failed over the last 10 minutes; more than 50% for 10m.",
        ),
        (
            "API 키 호출이 실패하고 있습니다.",
            "최근 10분간 service의 키 spare 호출 중 100%가 실패했습니다. 기준 50% 초과가 10m 동안 지속되었습니다.",
        ),
        missing=(_FAILED_KEY,),
    ),
    Scenario(
        "TargetDown",
        {_UP: 0},
        {_UP: 1},
        3,
        {**_INSTANCE, "severity": "critical"},
        ("A target does not answer Prometheus.", "a:8000 of service has not answered a scrape for 2m."),
        (
            "대상이 Prometheus에 응답하지 않습니다.",
            "service의 a:8000가 2m 동안 수집 요청에 응답하지 않았습니다.",
        ),
        is_gauge=True,
        missing=(_UP,),
    ),
    Scenario(
        "MetricsAbsent",
        {_WORKERS: None, _UP: 1},
        {_WORKERS: 4, _UP: 1},
        7,
        {**_JOB, "severity": "critical"},
        (
            "A service has no metrics at all.",
            (
                "For 5m, no target of the job service has shown otel_obs_workers: nobody scrapes it, or another program "
                "answers in its place. Its other alerts are blind."
            ),
        ),
        (
            "서비스의 메트릭이 전혀 없습니다.",
            (
                "5m 동안 작업 service의 어떤 대상에서도 otel_obs_workers가 수집되지 않았습니다. 수집이 설정되지 않았거나 "
                "다른 프로그램이 응답하고 있습니다. 다른 알림도 동작하지 않습니다."
            ),
        ),
        is_gauge=True,
    ),
    # Nobody scrapes the job any more.
    Scenario(
        "MetricsAbsent",
        {_WORKERS: None, _UP: None},
        {_WORKERS: 4, _UP: 1},
        13,
        {**_JOB, "severity": "critical"},
        (
            "A service has no metrics at all.",
            (
                "For 5m, no target of the job service has shown otel_obs_workers: nobody scrapes it, or another program "
                "answers in its place. Its other alerts are blind."
            ),
        ),
        (
            "서비스의 메트릭이 전혀 없습니다.",
            (
                "5m 동안 작업 service의 어떤 대상에서도 otel_obs_workers가 수집되지 않았습니다. 수집이 설정되지 않았거나 "
                "다른 프로그램이 응답하고 있습니다. 다른 알림도 동작하지 않습니다."
            ),
        ),
        is_gauge=True,
    ),
    Scenario(
        "HighMemoryUsage",
        {_series("system_memory_percent"): 95.4},
        {_series("system_memory_percent"): 90},
        6,
        {**_INSTANCE, "severity": "warning"},
        (
            "The memory of a machine is nearly full.",
            "The machine of a:8000 uses 95% of its memory; more than 90% for 5m.",
        ),
        (
            "메모리 사용량이 높습니다.",
            "a:8000 시스템의 메모리 사용률이 95%입니다. 기준 90% 초과가 5m 동안 지속되었습니다.",
        ),
        is_gauge=True,
        missing=(_series("system_memory_percent"),),
    ),
    Scenario(
        "EventLoopLag",
        _buckets("event_loop_lag_seconds", {"0.1": 90, "0.5": 98, "1.0": 100, "5.0": 100, "+Inf": 100}),
        _buckets("event_loop_lag_seconds", {"0.1": 100, "0.5": 100, "1.0": 100, "5.0": 100, "+Inf": 100}),
        13,
        {**_INSTANCE, "severity": "warning"},
        (
            "Something blocks the event loop.",
            "The event loop of a:8000 is late by up to 750ms (P99); more than 0.5s for 10m.",
        ),
        (
            "이벤트 루프가 지연되고 있습니다.",
            "a:8000의 이벤트 루프 지연(P99)이 750ms입니다. 기준 0.5s 초과가 10m 동안 지속되었습니다.",
        ),
        missing=tuple(
            _buckets("event_loop_lag_seconds", dict.fromkeys(("0.1", "0.5", "1.0", "5.0", "+Inf"), 0))
        ),
    ),
    Scenario(
        "WorkersFlapping",
        {_STARTED: 1, _WORKERS: 0},
        {_STARTED: 0, _WORKERS: 0},
        22,
        {**_INSTANCE, "severity": "warning"},
        (
            "Workers die and are replaced again and again.",
            "15 workers of a:8000 have started within 15 minutes: each place more than 3 times.",
        ),
        (
            "워커가 반복적으로 종료되고 재시작됩니다.",
            "a:8000에서 15분 동안 워커 15개가 시작되었습니다. 자리마다 3회를 넘습니다.",
        ),
        ends_after=45,
        missing=(_STARTED,),
    ),
    Scenario(
        "CardinalityOverflow",
        {_OVERFLOW: 1, _OVERFLOWN: None},
        {_OVERFLOW: None, _OVERFLOWN: None},
        11,
        {**_JOB, "metric": "orders_total", "severity": "warning"},
        (
            "A metric has more label sets than its limit.",
            (
                "orders_total of service puts what is beyond its limit into one series: queries that filter it by a "
                "label show too little."
            ),
        ),
        (
            "메트릭의 레이블 조합이 한도를 넘었습니다.",
            (
                "service의 orders_total에서 한도를 넘은 값이 하나의 시계열로 합쳐집니다. 레이블로 거른 쿼리는 실제보다 "
                "적게 보입니다."
            ),
        ),
        is_gauge=True,
        missing=(_OVERFLOW, _OVERFLOWN),
    ),
    Scenario(
        "CardinalityOverflow",
        {_OVERFLOW: None, _OVERFLOWN: 1},
        {_OVERFLOW: None, _OVERFLOWN: None},
        11,
        {**_JOB, "metric": "basket_value", "severity": "warning"},
        (
            "A metric has more label sets than its limit.",
            (
                "basket_value of service puts what is beyond its limit into one series: queries that filter it by a "
                "label show too little."
            ),
        ),
        (
            "메트릭의 레이블 조합이 한도를 넘었습니다.",
            (
                "service의 basket_value에서 한도를 넘은 값이 하나의 시계열로 합쳐집니다. 레이블로 거른 쿼리는 실제보다 "
                "적게 보입니다."
            ),
        ),
        is_gauge=True,
        missing=(_OVERFLOW, _OVERFLOWN),
    ),
    Scenario(
        "MeasurementsDropped",
        {_DROPPED: 2},
        {_DROPPED: 0},
        22,
        {**_JOB, "reason": "secret", "severity": "warning"},
        (
            "Measurements are dropped.",
            (
                "service has dropped 30 measurements within 15 minutes, for the reason secret; its log has the first of "
                "each kind."
            ),
        ),
        (
            "측정값이 버려지고 있습니다.",
            "service에서 15분 동안 측정값 30개가 버려졌습니다. 사유: secret. 종류별 첫 사례는 로그에 있습니다.",
        ),
        ends_after=45,
        missing=(_DROPPED,),
    ),
    Scenario(
        "CollectorDroppingData",
        {_UNSENT: 120},
        {_UNSENT: 0},
        8,
        {
            "job": "otelcol",
            "instance": "c:8888",
            "exporter": "prometheusremotewrite",
            "service": "service",
            "severity": "critical",
        },
        (
            "A collector loses data.",
            "The collector at c:8888 gives up 2 data points a second that prometheusremotewrite does not take.",
        ),
        (
            "수집기가 데이터를 잃고 있습니다.",
            "c:8888 수집기가 prometheusremotewrite로 보내지 못한 데이터 포인트를 초당 2개 버리고 있습니다.",
        ),
        missing=(_UNSENT,),
    ),
)
