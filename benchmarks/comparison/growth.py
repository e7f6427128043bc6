"""What one counter costs when it has many series."""

from __future__ import annotations

from collections.abc import Callable

import prometheus_client
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from benchmarks.comparison import CLIENT, OURS, STOCK, Figure, figure
from benchmarks.comparison.recording import taken
from otel_obs.sdk import MeterProvider


def measure(quick: bool) -> list[Figure]:
    """Nanoseconds of a call on the last series."""
    figures = []
    for series in (1, 1_000) if quick else (1, 1_000, 100_000):
        last = str(series - 1)
        calls: dict[str, Callable[[], object]] = {}
        meters = {
            OURS: MeterProvider(cardinality_limit=2 * series + 10, shutdown_on_exit=False).get_meter("bench"),
            STOCK: SdkMeterProvider([InMemoryMetricReader()], shutdown_on_exit=False).get_meter("bench"),
        }
        for who, meter in meters.items():
            counter = meter.create_counter("c")
            for number in range(series):
                counter.add(1, {"series": str(number)})
            calls[who] = lambda counter=counter, last=last: counter.add(1, {"series": last})  # type: ignore[misc]
        client = prometheus_client.Counter(
            "c", "c", ["series"], registry=prometheus_client.CollectorRegistry()
        )
        for number in range(series):
            client.labels(str(number)).inc()
        calls[CLIENT] = lambda client=client, last=last: client.labels(last).inc()  # type: ignore[misc]
        what = f"counter with {series:,} series"
        figures += [
            figure(what, who, "ns", values) for who, values in taken(calls, 5 if quick else 9).items()
        ]
    return figures
