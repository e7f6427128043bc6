# mypy: ignore-errors
"""Prometheus metrics of the camera detector, for several workers."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

detection_total = Counter("detection_total", "Detections", ["camera_id", "model_type"])
detection_latency_seconds = Histogram(
    "detection_latency_seconds", "Latency", ["camera_id", "model_type"], buckets=(0.01, 0.1, 1)
)
cameras_open = Gauge("cameras_open", "Open cameras", multiprocess_mode="livesum")
worker_frames = Gauge("worker_frames", "Frames of each worker", multiprocess_mode="all")


def record_detection(camera_id, model_type, latency):
    detection_total.labels(camera_id=camera_id, model_type=model_type).inc()
    detection_latency_seconds.labels(camera_id=camera_id, model_type=model_type).observe(latency)
    worker_frames.inc()


def render():
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry)
