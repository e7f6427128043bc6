"""Panels on a model, its cache, and a detector."""

from __future__ import annotations

from otel_obs.ops.panels.panel import (
    BLUE,
    GREEN,
    OUTCOMES,
    RED,
    YELLOW,
    Caption,
    Curve,
    Panel,
    Section,
    heat,
    quantiles,
)

_HITS = "sum(rate(cache_hits_total[$__rate_interval]))"
_MISSES = "sum(rate(cache_misses_total[$__rate_interval]))"
_STATES = ((0, "not loaded", YELLOW), (1, "loaded", GREEN), (2, "error", RED))

STATE = Panel(
    "model-state",
    "stat",
    "short",
    Caption(
        "Model", "The worst state that a worker of an instance is in. ModelNotLoaded fires after a minute."
    ),
    Caption("모델 상태", "인스턴스 워커 중 가장 나쁜 상태입니다. 1분 뒤 ModelNotLoaded 알림이 발생합니다."),
    (Curve("max by (instance) (model_state)", "{{instance}}"),),
    values=_STATES,
    width=6,
)
LOADING = Panel(
    "model-load",
    "stat",
    "s",
    Caption("Loading took", "Seconds that loading the model took, the slowest worker's."),
    Caption("로드 시간", "모델을 로드하는 데 걸린 시간입니다. 가장 느린 워커 기준입니다."),
    (Curve("max(model_load_duration_seconds)"),),
    width=6,
    has_course=False,
)
PREDICTIONS = Panel(
    "model-predictions",
    "timeseries",
    "cps",
    Caption("Predictions", "Per second, by how they ended: by the model, from the cache, or not at all."),
    Caption("예측", "초당 예측 수입니다. 모델 성공, 캐시 적중, 오류로 나뉩니다."),
    (Curve("sum by (status) (rate(predictions_total[$__rate_interval]))", "{{status}}"),),
    is_stacked=True,
    colours=(*OUTCOMES, ("cache_hit", BLUE)),
)
INFERENCE = Panel(
    "model-inference-quantiles",
    "timeseries",
    "s",
    Caption("Percentiles of the inference", "Seconds in the model itself, without the cache's answers."),
    Caption("추론 시간 백분위수", "캐시 응답을 제외한, 모델 자체의 추론 시간입니다."),
    quantiles("inference_duration_seconds", has_exemplars=True),
)
INFERENCE_HEAT = Panel(
    "model-inference-heatmap",
    "heatmap",
    "s",
    Caption("Distribution of the inference", "How many predictions took how long."),
    Caption("추론 시간 분포", "추론 시간 구간별 예측 수입니다."),
    heat("inference_duration_seconds"),
)
PREPROCESSING = Panel(
    "model-preprocessing",
    "timeseries",
    "s",
    Caption("Preprocessing", "Percentiles of the seconds before the model."),
    Caption("전처리 시간", "모델 실행 전 전처리 시간의 백분위수입니다."),
    quantiles("preprocessing_duration_seconds"),
)
MODEL = Section("Model", "모델", (STATE, LOADING, PREDICTIONS, INFERENCE, INFERENCE_HEAT, PREPROCESSING))

HIT_RATE = Panel(
    "cache-hit-rate",
    "gauge",
    "percentunit",
    Caption(
        "Hit rate", "Hits of all lookups in the range; CacheCollapse fires when it falls to half of itself."
    ),
    Caption("캐시 적중률", "조회 중 적중한 비율입니다. 절반으로 떨어지면 CacheCollapse 알림이 발생합니다."),
    (Curve(f"{_HITS} / ({_HITS} + {_MISSES})"),),
    steps=((None, RED), (0.2, YELLOW), (0.5, GREEN)),
    width=6,
    high=1,
)
LOOKUPS = Panel(
    "cache-lookups",
    "timeseries",
    "cps",
    Caption("Lookups", "Hits and misses per second."),
    Caption("캐시 조회", "초당 적중과 실패 수입니다."),
    (Curve(_HITS, "hits"), Curve(_MISSES, "misses")),
    is_stacked=True,
    width=9,
)
SIZE = Panel(
    "cache-size",
    "timeseries",
    "short",
    Caption("Items", "Items in a worker's cache, the mean over workers."),
    Caption("캐시 항목 수", "워커 캐시에 담긴 항목의 평균입니다."),
    (Curve("sum by (instance) (cache_size_current)", "{{instance}}"),),
    decimals=0,
    width=9,
)
CACHE_MEMORY = Panel(
    "cache-memory",
    "timeseries",
    "bytes",
    Caption("Memory of the cache", "What the caches of all workers hold."),
    Caption("캐시 메모리", "모든 워커의 캐시가 차지한 메모리입니다."),
    (Curve("sum by (instance) (cache_memory_bytes)", "{{instance}}"),),
    width=9,
)
CACHE = Section("Cache", "캐시", (HIT_RATE, LOOKUPS, SIZE, CACHE_MEMORY))

DETECTION = Section(
    "Detection",
    "탐지",
    (
        Panel(
            "detection-rate",
            "timeseries",
            "cps",
            Caption("Frames by camera", "Frames that were looked at, per second."),
            Caption("카메라별 프레임", "초당 분석한 프레임 수입니다."),
            (Curve("sum by (camera_id) (rate(detection_total[$__rate_interval]))", "{{camera_id}}"),),
            is_stacked=True,
        ),
        Panel(
            "detection-latency",
            "timeseries",
            "s",
            Caption("Percentiles of the latency", "Seconds that looking at a frame took."),
            Caption("탐지 지연 백분위수", "프레임 하나를 분석하는 데 걸린 시간입니다."),
            quantiles("detection_latency_seconds"),
        ),
        Panel(
            "detection-heatmap",
            "heatmap",
            "s",
            Caption("Distribution of the latency", "How many frames took how long."),
            Caption("탐지 지연 분포", "지연 구간별 프레임 수입니다."),
            heat("detection_latency_seconds"),
        ),
        Panel(
            "detection-found",
            "timeseries",
            "short",
            Caption("Found in a frame", "Objects, and groups of objects, on average."),
            Caption("프레임당 탐지 수", "프레임에서 찾은 객체와 그룹의 평균입니다."),
            tuple(
                Curve(
                    f"sum(rate(detection_{what}_sum[$__rate_interval]))"
                    f" / sum(rate(detection_{what}_count[$__rate_interval]))",
                    what,
                )
                for what in ("objects", "groups")
            ),
            steps=((None, BLUE),),
        ),
    ),
)
