# pyright: strict
"""What an application may write by mistake: type checkers refuse each line that ends with `# wrong`, and no other."""

import otel_obs
from otel_obs import catalog
from otel_obs import instrumnet  # wrong
from otel_obs.catalog import detection_objects, detection_total
from otel_obs.catalog import detection_totl  # wrong
from otel_obs.prometheus import Conter  # wrong
from otel_obs.prometheus.core import GaugeFamily  # wrong
from otel_obs.testing import Clock  # wrong


def names() -> None:
    otel_obs.configre()  # wrong
    catalog.detection_totals.add(1)  # wrong
    otel_obs.errors.SettingsError("a")  # wrong


def options() -> None:
    otel_obs.configure(namespce="shop")  # wrong
    otel_obs.configure(namespace=3)  # wrong
    otel_obs.configure(prometheus_port=["9464"])  # wrong
    otel_obs.configure(buckets={"a_seconds": 0.1})  # wrong
    otel_obs.instrument(print, metrics_pth="/m")  # wrong


def kinds() -> None:
    otel_obs.instrument(42)  # wrong
    otel_obs.PrometheusMiddleware("app")  # wrong
    otel_obs.Timer(42)  # wrong
    otel_obs.track_time(detection_total)  # wrong
    detection_total.add("x")  # wrong
    detection_total.labels(camera_id="1").inc("x")  # wrong
    detection_total.set(1)  # wrong
    detection_objects.record("x")  # wrong
    detection_objects.observe([1])  # wrong
    pipeline = otel_obs.configure()
    if pipeline is not None:
        pipeline.metrcs()  # wrong


print(instrumnet, detection_totl, Conter, GaugeFamily, Clock)  # pyright: ignore
