"""Which methods of instruments and handles have a compiled fast path."""

from __future__ import annotations

from opentelemetry.context import Context

from otel_obs import compiled
from otel_obs.sdk.bound import Bound
from otel_obs.sdk.current_context import context_variable
from otel_obs.sdk.instruments import (
    BoundCounter,
    BoundGauge,
    BoundHistogram,
    BoundUpDownCounter,
    Counter,
    Gauge,
    Histogram,
    UpDownCounter,
)
from otel_obs.sdk.labels import Labelled


def offer_compiled() -> None:
    """Replace every recording method by the compiled one, if that is available and wanted."""
    compiled.begin(context_variable, Context, Bound)
    compiled.offer(BoundCounter, "bound_counter_add", "add", "inc")
    compiled.offer(BoundUpDownCounter, "bound_updown_add", "add", "inc")
    compiled.offer(BoundGauge, "bound_gauge_set", "set")
    compiled.offer(BoundHistogram, "bound_histogram_record", "record", "observe")
    compiled.offer(Counter, "counter_add", "add")
    compiled.offer(UpDownCounter, "updown_add", "add")
    compiled.offer(Gauge, "gauge_set", "set")
    compiled.offer(Histogram, "histogram_record", "record")
    compiled.offer(Labelled, "instrument_labels", "labels")
    compiled.choose()
