from __future__ import annotations

from otel_obs.catalog import record_detection
from tests.catalog.conftest import Service


def test_a_detection_is_counted_with_what_it_found(service: Service) -> None:
    record_detection("cam-1", "yolov8n", 0.25, 3, 1)
    record_detection(camera_id=1, model_type="yolov8n")  # type: ignore[arg-type]
    assert service.samples() == [
        'detection_total{camera_id="cam-1",model_type="yolov8n"} 1.0',
        'detection_total{camera_id="1",model_type="yolov8n"} 1.0',
        'detection_latency_seconds_count{camera_id="cam-1",model_type="yolov8n"} 1.0',
        'detection_latency_seconds_sum{camera_id="cam-1",model_type="yolov8n"} 0.25',
        "detection_objects_count 1.0",
        "detection_objects_sum 3.0",
        "detection_groups_count 1.0",
        "detection_groups_sum 1.0",
    ]
