"""What one measurement costs, with its labels and with them looked up before; beside an empty call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Mapping
from typing import Any

import prometheus_client
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from benchmarks.comparison import (
    BOUNDS,
    CLIENT,
    CLIENT_OVER_WORKERS,
    LABELS,
    NOTHING,
    OURS,
    STOCK,
    Figure,
    figure,
)
from otel_obs.cells.membership import Service
from otel_obs.cells.worker import Worker
from otel_obs.sdk import MeterProvider

Calls = Mapping[str, Callable[[], object]]

COUNTER, HISTOGRAM = "counter, 3 labels", "histogram, 3 labels, 8 bounds"
BOUND = "looked up before"
OVER_WORKERS = """
import json, prometheus_client
from benchmarks.comparison.recording import client_calls, taken
print(json.dumps(taken(client_calls(), %d)))
"""


def measure(quick: bool) -> list[Figure]:
    """Nanoseconds of each call, of all peers in turn."""
    rounds = 5 if quick else 15
    directory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=directory) as base:
        provider = MeterProvider(worker=Worker(Service([base], "0" * 16).open_store), shutdown_on_exit=False)
        sdk = SdkMeterProvider([InMemoryMetricReader()])
        every = {
            (OURS, what): call
            for what, call in meter_calls(provider.get_meter("bench"), is_bound=True).items()
        }
        every |= {(CLIENT, what): call for what, call in client_calls().items()}
        every |= {(STOCK, what): call for what, call in meter_calls(sdk.get_meter("bench")).items()}
        every[NOTHING, "empty Python call"] = lambda: None
        by_name = taken({f"{who}|{what}": call for (who, what), call in every.items()}, rounds)
    figures = [
        figure(name.split("|")[1], name.split("|")[0], "ns", values) for name, values in by_name.items()
    ]
    for what, values in _client_over_workers(rounds).items():
        figures.append(figure(what, CLIENT_OVER_WORKERS, "ns", values))
    return figures


def taken(calls: Calls, rounds: int, number: int = 20_000) -> dict[str, list[float]]:
    """Nanoseconds of processor time of each call, in rounds in which all of them take turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(timeit.timeit(call, timer=time.thread_time, number=number) / number * 1e9)
    return times


def meter_calls(meter: Any, is_bound: bool = False) -> Calls:
    """The work with OpenTelemetry's API."""
    counter, gauge = meter.create_counter("c"), meter.create_gauge("g")
    histogram = meter.create_histogram("h", explicit_bucket_boundaries_advisory=BOUNDS)
    calls: dict[str, Callable[[], object]] = {
        COUNTER: lambda: counter.add(1, LABELS),
        "gauge, 3 labels": lambda: gauge.set(7.0, LABELS),
        HISTOGRAM: lambda: histogram.record(0.07, LABELS),
    }
    if is_bound:
        bound_counter, bound_gauge = counter.bind(LABELS), gauge.bind(LABELS)
        bound_histogram = histogram.bind(LABELS)
        calls |= {
            f"counter, {BOUND}": lambda: bound_counter.add(1),
            f"gauge, {BOUND}": lambda: bound_gauge.set(7.0),
            f"histogram, {BOUND}": lambda: bound_histogram.record(0.07),
        }
    return calls


def client_calls() -> Calls:
    """The same work with prometheus_client."""
    registry, names, values = prometheus_client.CollectorRegistry(), list(LABELS), list(LABELS.values())
    counter = prometheus_client.Counter("c", "c", names, registry=registry)
    gauge = prometheus_client.Gauge("g", "g", names, registry=registry)
    histogram = prometheus_client.Histogram("h", "h", names, buckets=BOUNDS, registry=registry)
    summary = prometheus_client.Summary("s", "s", names, registry=registry)
    bound_counter, bound_gauge = counter.labels(*values), gauge.labels(*values)
    bound_histogram, bound_summary = histogram.labels(*values), summary.labels(*values)
    method, endpoint, status = values
    return {
        COUNTER: lambda: counter.labels(method, endpoint, status).inc(),
        "gauge, 3 labels": lambda: gauge.labels(method, endpoint, status).set(7.0),
        HISTOGRAM: lambda: histogram.labels(method, endpoint, status).observe(0.07),
        f"counter, {BOUND}": lambda: bound_counter.inc(),
        f"gauge, {BOUND}": lambda: bound_gauge.set(7.0),
        f"histogram, {BOUND}": lambda: bound_histogram.observe(0.07),
        f"summary, {BOUND}": lambda: bound_summary.observe(0.07),
    }


def _client_over_workers(rounds: int) -> dict[str, list[float]]:
    """Its costs with a directory that other workers read; it has to be named before the import."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as directory:
        done = subprocess.run(
            [sys.executable, "-c", OVER_WORKERS % rounds],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": directory},
            capture_output=True,
            text=True,
            check=True,
        )
    measured: dict[str, list[float]] = json.loads(done.stdout)
    return measured
