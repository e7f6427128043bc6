"""The same instruments of ours, in shared memory, and of `prometheus_client`."""

from __future__ import annotations

from typing import Any, NamedTuple

import prometheus_client

from benchmarks.recording import BOUNDS, THREE, TWO
from otel_obs.cells.membership import Service
from otel_obs.cells.worker import Worker
from otel_obs.sdk import MeterProvider


class Twins(NamedTuple):
    """A counter of three attributes, a histogram of two and a gauge of none."""

    counter: Any
    histogram: Any
    gauge: Any


def ours(base: str) -> Twins:
    """In a directory below *base*."""
    meter = MeterProvider(worker=Worker(Service([base], "0" * 16).open_store)).get_meter("bench")
    return Twins(
        meter.create_counter("c"),
        meter.create_histogram("h", explicit_bucket_boundaries_advisory=BOUNDS),
        meter.create_gauge("g"),
    )


def theirs() -> Twins:
    """In a registry of their own."""
    registry = prometheus_client.CollectorRegistry()
    return Twins(
        prometheus_client.Counter("c", "c", list(THREE), registry=registry),
        prometheus_client.Histogram("h", "h", list(TWO), buckets=BOUNDS, registry=registry),
        prometheus_client.Gauge("g", "g", registry=registry),
    )
