"""A detector that looks at frames."""

from __future__ import annotations

from otel_obs.catalog.kit.boundary import safely
from otel_obs.catalog.kit.kinds import CounterMetric, HistogramMetric
from otel_obs.catalog.kit.naming import ANY

__all__ = [
    "detection_groups",
    "detection_latency_seconds",
    "detection_objects",
    "detection_total",
    "record_detection",
]

_CAMERA = {"camera_id": ANY, "model_type": ANY}

detection_total = CounterMetric("detection_total", "Total detections", unit="{detection}", attributes=_CAMERA)
detection_latency_seconds = HistogramMetric(
    "detection_latency_seconds",
    "Detection latency in seconds",
    unit="s",
    attributes=_CAMERA,
    bounds=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
detection_objects = HistogramMetric(
    "detection_objects", "Objects found in a frame", unit="{object}", bounds=(0, 1, 2, 5, 10, 20, 50, 100)
)
detection_groups = HistogramMetric(
    "detection_groups", "Groups of objects found in a frame", unit="{group}", bounds=(0, 1, 2, 5, 10, 20)
)


@safely(detection_total)
def record_detection(
    camera_id: str,
    model_type: str,
    latency: float | None = None,
    num_objects: int | None = None,
    num_groups: int | None = None,
) -> None:
    """Count a frame that was looked at.

    Args:
        camera_id: The camera.
        model_type: The detector.
        latency: Seconds that it took.
        num_objects: Objects that it found.
        num_groups: Groups that the objects make.
    """
    labels = {"camera_id": str(camera_id), "model_type": str(model_type)}
    detection_total.add(1, labels)
    if latency is not None:
        detection_latency_seconds.record(latency, labels)
    if num_objects is not None:
        detection_objects.record(num_objects)
    if num_groups is not None:
        detection_groups.record(num_groups)
