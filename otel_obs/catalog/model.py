"""A model that predicts."""

from __future__ import annotations

from otel_obs.catalog.kit.boundary import safely
from otel_obs.catalog.kit.kinds import CounterMetric, GaugeMetric, HistogramMetric

__all__ = [
    "inference_duration_seconds",
    "model_load_duration_seconds",
    "model_state",
    "predictions_total",
    "preprocessing_duration_seconds",
    "record_prediction",
    "set_model_state",
]

STATES = {"not_loaded": 0, "loaded": 1, "error": 2}
_INFERENCE = (0.05, 0.1, 0.2, 0.5, 1, 2, 5)

predictions_total = CounterMetric(
    "predictions_total",
    "Total predictions",
    unit="{prediction}",
    attributes={"status": ("success", "cache_hit", "error")},
)
inference_duration_seconds = HistogramMetric(
    "inference_duration_seconds", "Model inference duration in seconds", unit="s", bounds=_INFERENCE
)
preprocessing_duration_seconds = HistogramMetric(
    "preprocessing_duration_seconds",
    "Input preprocessing duration in seconds",
    unit="s",
    bounds=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)
model_state = GaugeMetric("model_state", "Model state (0=not_loaded, 1=loaded, 2=error)", merge="worst:2,0,1")
model_load_duration_seconds = GaugeMetric(
    "model_load_duration_seconds", "Seconds that loading the model took", unit="s", merge="max"
)


@safely(predictions_total)
def record_prediction(
    success: bool = True,
    cache_hit: bool = False,
    inference_time: float | None = None,
    preprocessing_time: float | None = None,
) -> None:
    """Count a prediction.

    Args:
        success: Whether there is a result.
        cache_hit: Whether the result came from the cache.
        inference_time: Seconds in the model; None where the model was not called.
        preprocessing_time: Seconds before the model; None where there were none.
    """
    status = "error" if not success else "cache_hit" if cache_hit else "success"
    predictions_total.add(1, {"status": status})
    if inference_time is not None:
        inference_duration_seconds.record(inference_time)
    if preprocessing_time is not None:
        preprocessing_duration_seconds.record(preprocessing_time)


@safely(model_state)
def set_model_state(state: str, load_time: float | None = None) -> None:
    """Show in which state this worker's model is; over workers, the worst state is shown.

    Args:
        state: `not_loaded`, `loaded` or `error`.
        load_time: Seconds that loading took.
    """
    number = STATES.get(state)
    if number is None:
        model_state.drop("state", f"set_model_state() got {state!r}; expected one of {list(STATES)}")
        return
    model_state.set(number)
    if load_time is not None:
        model_load_duration_seconds.set(load_time)
