"""Resident memory of a label set, by instrument; each in a process of its own, by the kernel's own count."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.comparison import CLIENT, OURS, STOCK, Figure, figure

SCRIPT = """
import gc, os, sys
who, what, sets = sys.argv[1], sys.argv[2], int(sys.argv[3])
BOUNDS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0)
KEYS = ("method", "endpoint", "status_code")

def resident():
    gc.collect()
    with open("/proc/self/smaps_rollup") as rollup:
        return 1024 * int(next(line for line in rollup if line.startswith("Rss")).split()[1])

if who == "prometheus_client":
    import prometheus_client as library
    made = {
        "counter": lambda: library.Counter("c", "c", KEYS),
        "gauge": lambda: library.Gauge("g", "g", KEYS),
        "histogram": lambda: library.Histogram("h", "h", KEYS, buckets=BOUNDS),
        "summary": lambda: library.Summary("s", "s", KEYS),
    }
    def recorder(name):
        metric = made[name]()
        method = {"counter": "inc", "gauge": "set"}.get(name, "observe")
        given = () if name == "counter" else (0.07,)
        return lambda labels: getattr(metric.labels(*labels), method)(*given)
else:
    if who == "otel-obs":
        import otel_obs
        from otel_obs import prometheus
        otel_obs.configure(runtime_metrics=False, cardinality_limit=10 * sets)
        from opentelemetry import metrics
        meter = metrics.get_meter("bench")
    else:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        provider = MeterProvider([InMemoryMetricReader()])
        meter = provider.get_meter("bench")
    def recorder(name):
        if name == "counter":
            instrument = meter.create_counter("c")
            return lambda labels: instrument.add(1, dict(zip(KEYS, labels)))
        if name == "gauge":
            instrument = meter.create_gauge("g")
            return lambda labels: instrument.set(1, dict(zip(KEYS, labels)))
        if name == "histogram":
            instrument = meter.create_histogram("h", explicit_bucket_boundaries_advisory=BOUNDS)
            return lambda labels: instrument.record(0.07, dict(zip(KEYS, labels)))
        summary = prometheus.Summary("s", "s", KEYS)
        return lambda labels: summary.labels(*labels).observe(0.07)

names = ("counter", "histogram") if what == "both" else (what,)
recorders = [recorder(name) for name in names]
for record in recorders:
    record(("GET", "/first", "200"))
before = resident()
for number in range(sets):
    labels = ("GET", f"/items/{number}", "200")
    for record in recorders:
        record(labels)
print((resident() - before) / sets)
"""

SUMMARY = "summary"
WHAT = {
    "counter": "memory of a label set, counter",
    "gauge": "memory of a label set, gauge",
    "histogram": "memory of a label set, histogram of 8 bounds",
    SUMMARY: "memory of a label set, summary",
    "both": "memory of a label set, counter and histogram",
}


def measure(quick: bool) -> list[Figure]:
    """Bytes; the whole of what a service's set-up takes is the last row."""
    sets, runs = (2_000, 1) if quick else (10_000, 3)
    figures = []
    for what, shown in WHAT.items():
        for who in (OURS, CLIENT, STOCK):
            if not (what == SUMMARY and who == STOCK):
                grown = [_run(SCRIPT, who, what, str(sets)) for _ in range(runs)]
                figures.append(figure(shown, who, "bytes", grown))
    for who, script in SET_UP.items():
        taken = [_run(script) for _ in range(runs + 2)]
        figures.append(figure("memory of a process that only set up, above Python's", who, "MB", taken))
    return figures


_BEFORE = """
import os, re
def resident():
    return int(re.search(r"^Rss:\\s+(\\d+)", open("/proc/self/smaps_rollup").read(), re.M)[1]) / 1024
before = resident()
"""
SET_UP = {
    OURS: f"{_BEFORE}import otel_obs\notel_obs.configure()\nprint(resident() - before)",
    CLIENT: f"{_BEFORE}import prometheus_client\nprint(resident() - before)",
    STOCK: f"{_BEFORE}from opentelemetry.sdk.metrics import MeterProvider\nMeterProvider()\n"
    "print(resident() - before)",
}


def _run(script: str, *arguments: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])
