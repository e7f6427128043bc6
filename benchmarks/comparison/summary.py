"""A summary, and what else code that is written for prometheus_client calls."""

from __future__ import annotations

import otel_obs
from benchmarks.comparison import BOUNDS, OURS, Figure, figure
from benchmarks.comparison.recording import taken
from otel_obs import prometheus


def measure(quick: bool) -> list[Figure]:
    """Nanoseconds of what code that is written for prometheus_client calls."""
    otel_obs.configure(runtime_metrics=False)
    summary = prometheus.Summary("bench_summary", "s", ["a", "b", "c"]).labels("1", "2", "3")
    counter = prometheus.Counter("bench_counter", "c", ["a", "b", "c"])
    histogram = prometheus.Histogram("bench_histogram", "h", ["a", "b", "c"], buckets=BOUNDS)
    by_what = taken(
        {
            "summary, looked up before": lambda: summary.observe(0.07),
            "counter, 3 labels, in prometheus_client's manner": lambda: counter.labels("1", "2", "3").inc(),
            "histogram, 3 labels, in prometheus_client's manner": lambda: histogram.labels(
                "1", "2", "3"
            ).observe(0.07),
        },
        5 if quick else 15,
    )
    otel_obs.shutdown()
    return [figure(what, OURS, "ns", values) for what, values in by_what.items()]
