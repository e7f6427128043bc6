"""The public face: what it lists, and that type checkers refuse what is not there.

`make check` runs mypy over this file: where it no longer finds an error, a `type: ignore` is unused, and that
is an error.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import prometheus_client
import pytest

import otel_obs
import otel_obs.catalog
import otel_obs.prometheus
from otel_obs import catalog, errors
from otel_obs.catalog import detection_objects, detection_total

if TYPE_CHECKING:
    from otel_obs import instrumnet  # type: ignore[attr-defined]
    from otel_obs.catalog import detection_totl  # type: ignore[attr-defined]
    from otel_obs.prometheus import Conter  # type: ignore[attr-defined]
    from otel_obs.prometheus.core import GaugeFamily  # type: ignore[attr-defined]
    from otel_obs.prometheus.exposition import generate  # type: ignore[attr-defined]
    from otel_obs.testing import Clock  # type: ignore[attr-defined]

    def names() -> None:
        print(instrumnet, detection_totl, Conter, GaugeFamily, generate, Clock)
        otel_obs.configre()  # type: ignore[attr-defined]
        _ = catalog.detection_totals  # type: ignore[attr-defined]
        otel_obs.instrument(42)  # type: ignore[type-var]
        otel_obs.PrometheusMiddleware("app")  # type: ignore[arg-type]

    def options() -> None:
        otel_obs.configure(namespce="shop")  # type: ignore[call-arg]
        otel_obs.configure(namespace=3)  # type: ignore[arg-type]
        otel_obs.configure(prometheus_port=["9464"])  # type: ignore[arg-type]
        otel_obs.configure(buckets={"a_seconds": 0.1})  # type: ignore[dict-item]
        otel_obs.instrument(print, metrics_pth="/m")  # type: ignore[call-arg]
        otel_obs.configure(namespace="shop", labels={"status_code": "status"}, http_sizes=True)
        otel_obs.instrument(print, buckets={"a_seconds": [0.1, 1]}, readers=[])

    def kinds() -> None:
        otel_obs.Timer(42)  # type: ignore[arg-type]
        otel_obs.track_time(detection_total)  # type: ignore[arg-type]
        detection_total.add("x")  # type: ignore[arg-type]
        detection_total.labels(camera_id="1").inc("x")  # type: ignore[arg-type]
        detection_objects.record("x")  # type: ignore[arg-type]
        detection_objects.observe([1])  # type: ignore[arg-type]
        pipeline = otel_obs.configure()
        assert pipeline is not None
        pipeline.metrcs()  # type: ignore[attr-defined]


def test_every_public_name_is_there() -> None:
    assert set(otel_obs.__all__) <= set(dir(otel_obs))
    assert [name for name in otel_obs.__all__ if getattr(otel_obs, name) is None] == []
    assert otel_obs.errors is errors
    assert otel_obs.Pipeline.__name__ == "Pipeline"
    assert otel_obs.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="instrumnet"):
        otel_obs.instrumnet  # type: ignore[attr-defined]  # noqa: B018


def test_the_catalog_lists_its_metrics() -> None:
    listed = dir(otel_obs.catalog)
    assert {"llm", "detection_total", "predictions_total", "record_detection"} <= set(listed)
    assert {metric.declaration.family for _, metric in otel_obs.catalog.metrics()} <= set(listed)


def test_the_clients_face_has_the_clients_names_alone() -> None:
    assert set(otel_obs.prometheus.__all__) <= set(prometheus_client.__all__)


def test_help_names_the_three_ways_in() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import otel_obs; help(otel_obs)"], capture_output=True, text=True, check=True
    )
    for way in ("opentelemetry-instrument", "otel_obs.instrument(app)", "otel_obs.get_metrics()"):
        assert way in done.stdout
