"""What a scrape's encoding costs beside prometheus_client and the stock OpenTelemetry exporter.

10,000 label sets of 3 labels, each a counter and a histogram of 8 bounds: 120,000 lines, without `_created`
lines anywhere. Every figure is a ratio of CPU times in one process; the smallest of a few runs each.
"""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, pairwise
from random import Random

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from otel_obs.cells.attributes import canonical
from otel_obs.cells.layout import Kind, Scope, Stream
from otel_obs.cells.snapshot import Column, SeriesTable, Snapshot
from otel_obs.cells.view import MergedView
from otel_obs.exposition import OPENMETRICS, PROTOBUF, TEXT, Format, render
from otel_obs.sdk import MeterProvider

SERIES = 2_000 if os.environ.get("OTEL_OBS_BENCH_QUICK") else 10_000
BOUNDS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0)
LABELS = ("endpoint", "method", "status_code")
MAX_OBSERVATIONS = 20

Recording = Iterator[tuple[dict[str, str], list[float]]]


def recordings(series: int) -> Recording:
    """Labels, and what was observed under them; the same every time."""
    random = Random(1)
    for at in range(series):
        labels = dict(zip(LABELS, (f"/items/{at}", "GET", str(200 + at % 5)), strict=True))
        yield labels, [random.expovariate(1) for _ in range(random.randint(1, MAX_OBSERVATIONS))]


def ours(series: int) -> Snapshot:
    """The recordings as a scrape reads them."""
    attributes, counts, rows = [], [], []
    for labels, observed in recordings(series):
        attributes.append(canonical(labels))
        counts.append(float(len(observed)))
        rows.append([*(float(count) for count in bucket_counts(observed)), sum(observed)])
    created_s = [time.time()] * series
    scope = Scope("bench")
    counter = Stream(Kind.COUNTER, "http_requests", "", "Total HTTP requests", scope)
    histogram = Stream(Kind.HISTOGRAM, "http_request_duration", "s", "Duration", scope, BOUNDS)
    return Snapshot(
        [
            Column(SeriesTable(counter, attributes, created_s), counts, {}),
            Column(SeriesTable(histogram, attributes, created_s), rows, {}),
        ],
        1,
        0,
    )


def bucket_counts(observed: list[float]) -> list[int]:
    """How many fall into each bucket, not cumulative."""
    edges = (float("-inf"), *BOUNDS, float("inf"))
    return [sum(low < value <= high for value in observed) for low, high in pairwise(edges)]


def prometheus_client_registry(series: int) -> CollectorRegistry:
    """The recordings in prometheus_client."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    counter = Counter("http_requests", "Total HTTP requests", LABELS, registry=registry)
    histogram = Histogram(
        "http_request_duration_seconds", "Duration", LABELS, buckets=BOUNDS, registry=registry
    )
    for labels, observed in recordings(series):
        counter.labels(**labels).inc(len(observed))
        child = histogram.labels(**labels)
        for value in observed:
            child.observe(value)
    return registry


def stock_registry(series: int) -> CollectorRegistry:
    """The recordings in the OpenTelemetry SDK, behind the stock Prometheus exporter."""
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.sdk.metrics import MeterProvider

    registry = CollectorRegistry()
    meter = MeterProvider([PrometheusMetricReader(registry=registry)]).get_meter("bench")
    counter = meter.create_counter("http_requests", "", "Total HTTP requests")
    histogram = meter.create_histogram(
        "http_request_duration", "s", "Duration", explicit_bucket_boundaries_advisory=BOUNDS
    )
    for labels, observed in recordings(series):
        counter.add(len(observed), labels)
        for value in observed:
            histogram.record(value, labels)
    return registry


def body(snapshot: Snapshot, format: Format = TEXT) -> bytes:
    """A whole exposition."""
    return b"".join(render(snapshot, format))


def stream(snapshot: Snapshot) -> None:
    """A whole exposition, of which nothing is kept."""
    for _ in render(snapshot):
        pass


def seconds(work: Callable[[], object], runs: int) -> float:
    """The shortest of some runs."""
    times = []
    for _ in range(runs):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def longest_chunk(snapshot: Snapshot) -> float:
    """How long one step of a first scrape keeps an event loop waiting, in seconds."""
    longest, started = 0.0, time.process_time()
    for _ in render(snapshot):
        now = time.process_time()
        longest, started = max(longest, now - started), now
    return longest


def peak_growth(snapshot: Snapshot) -> float:
    """The peak of memory while a body is made, in sizes of that body."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    size = len(body(snapshot))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (peak - before) / size


def growth(series: int) -> float:
    """What a scrape costs that finds one series more, in scrapes that find the same series."""
    provider = MeterProvider(cardinality_limit=2 * series, shutdown_on_exit=False)
    counter = provider.get_meter("bench").create_counter("http_requests")
    view = MergedView(provider.worker)
    for labels, _ in recordings(series):
        counter.add(1, labels)

    def scrape() -> None:
        body(view.snapshot())

    def grow() -> None:
        counter.add(1, {"endpoint": str(next(numbers))})
        scrape()

    numbers = count()
    scrape()
    return seconds(grow, 5) / seconds(scrape, 5)


def run() -> list[tuple[str, float, float]]:
    """Measure; a goal is the most that a figure may be."""
    client, stock = prometheus_client_registry(SERIES), stock_registry(SERIES)
    lines = body(ours(SERIES)).count(b"\n")
    assert generate_latest(client).count(b"\n") == lines
    client_s = seconds(partial(generate_latest, client), 3)
    client_openmetrics_s = seconds(partial(generate_openmetrics, client), 2)
    stock_s = seconds(partial(generate_latest, stock), 2)
    first_s = min(seconds(partial(body, ours(SERIES)), 1) for _ in range(3))
    warm, large = ours(SERIES), ours(4 * SERIES)
    text_s, openmetrics_s, protobuf_s = (
        seconds(partial(body, warm, format), 7) for format in (TEXT, OPENMETRICS, PROTOBUF)
    )
    stream_s, large_s = (seconds(partial(stream, snapshot), 5) for snapshot in (warm, large))
    return [
        (f"text, {lines:,} lines / prometheus_client", text_s / client_s, 0.05),
        ("text / stock OpenTelemetry exporter", text_s / stock_s, 0.04),
        ("text, first scrape / prometheus_client", first_s / client_s, 0.12),
        ("OpenMetrics with _created / prometheus_client without", openmetrics_s / client_openmetrics_s, 0.08),
        ("protobuf / prometheus_client's text", protobuf_s / client_s, 0.2),
        ("4 x the series, streamed / 4 x the time", large_s / (4 * stream_s), 1.3),
        (
            "longest step of a first scrape, ms",
            min(longest_chunk(ours(SERIES)) for _ in range(5)) * 1000,
            5.0,
        ),
        ("one new series / the same series", growth(SERIES), 3.0),
        ("peak memory / body", peak_growth(warm), 2.5),
        ("peak memory / body, first scrape", peak_growth(ours(SERIES)), 2.5),
    ]


if __name__ == "__main__":
    for what, figure, goal in run():
        print(f"{what:<60}{figure:>10.3f}{goal:>8}")
