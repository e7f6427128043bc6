"""The OpenTelemetry Metrics API over cells."""

from otel_obs.host import gil
from otel_obs.sdk.fast_paths import offer_compiled
from otel_obs.sdk.instruments import Counter, Gauge, Histogram, UpDownCounter
from otel_obs.sdk.meter import Meter
from otel_obs.sdk.observables import ObservableCounter, ObservableGauge, ObservableUpDownCounter
from otel_obs.sdk.provider import MeterProvider

__all__ = [
    "Counter",
    "Gauge",
    "Histogram",
    "Meter",
    "MeterProvider",
    "ObservableCounter",
    "ObservableGauge",
    "ObservableUpDownCounter",
    "UpDownCounter",
]

if not gil.IS_ON:
    from otel_obs.sdk.free_threading import lock_recording

    lock_recording()
offer_compiled()
