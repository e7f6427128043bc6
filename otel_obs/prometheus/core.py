"""`prometheus_client.core`: what custom collectors are written with, and the metrics themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import core as their_core
from prometheus_client.core import (
    CounterMetricFamily,
    Exemplar,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    Sample,
    StateSetMetricFamily,
    SummaryMetricFamily,
    Timestamp,
    UnknownMetricFamily,
    UntypedMetricFamily,
)

from otel_obs.prometheus.metrics import Counter, Enum, Gauge, Histogram, Info, Summary
from otel_obs.prometheus.registry import REGISTRY, CollectorRegistry, DuplicateTimeseries

__all__ = [
    "REGISTRY",
    "CollectorRegistry",
    "Counter",
    "CounterMetricFamily",
    "DuplicateTimeseries",
    "Enum",
    "Exemplar",
    "Gauge",
    "GaugeHistogramMetricFamily",
    "GaugeMetricFamily",
    "Histogram",
    "HistogramMetricFamily",
    "Info",
    "InfoMetricFamily",
    "Metric",
    "Sample",
    "StateSetMetricFamily",
    "Summary",
    "SummaryMetricFamily",
    "Timestamp",
    "UnknownMetricFamily",
    "UntypedMetricFamily",
]


if not TYPE_CHECKING:  # a type checker that saw `__getattr__` would accept every misspelt name

    def __getattr__(name: str) -> Any:
        """Look up names that only newer versions of `prometheus_client` have, such as `NativeHistogram`."""
        if name in their_core.__all__:
            return getattr(their_core, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
