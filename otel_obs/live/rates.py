"""Rates, errors and latency by endpoint, from successive pages of metrics."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from otel_obs.reading.page import LabelPairs, ScrapedFamily, ScrapedPage

WINDOWS_S = (5.0, 30.0, 300.0)
POINTS = 30
"""How many intervals a sparkline shows, the most recent ones."""
_WHERE = ("endpoint", "http_route", "handler", "route", "url_rule", "path", "view")
_STATUS = ("status_code", "http_response_status_code", "http_status_code", "status", "code")
_OTHERS = frozenset(
    ["client", "upstream", "outgoing", "outbound", "grpc", "llm", "db", "size", "bytes", "progress"]
)

SeriesKey = tuple[str, LabelPairs]
BucketCounts = dict[float, float]


class Tick(NamedTuple):
    """The increase between two pages, by endpoint: requests, errors, and cumulative counts by bound."""

    seconds: float
    requests: Mapping[str, float]
    errors: Mapping[str, float]
    buckets: Mapping[str, BucketCounts]


class RateRow(NamedTuple):
    """One endpoint: requests a second over each window, the share of errors, and the P95 in seconds.

    `errors` and `p95_s` are over the longest window; NaN where there were no requests. `points` are the last
    intervals' requests a second, the oldest first.
    """

    endpoint: str
    rates: tuple[float, ...]
    errors: float
    p95_s: float
    points: tuple[float, ...]


class Rates:
    """The last five minutes of one service."""

    def __init__(self) -> None:
        self._ticks: deque[Tick] = deque()
        self._last: dict[SeriesKey, float] = {}
        self._last_s: float | None = None
        self._endpoints: dict[str, None] = {}
        """Those of the last page, and of the last five minutes."""

    def add(self, page: ScrapedPage, now_s: float) -> None:
        """Add a page; *now_s* is the time of a monotonic clock, in seconds."""
        counted, timed = _families(page)
        values: dict[SeriesKey, float] = {}
        requests: defaultdict[str, float] = defaultdict(float)
        errors: defaultdict[str, float] = defaultdict(float)
        buckets: defaultdict[str, BucketCounts] = defaultdict(dict)
        for endpoint, status, grown in self._grown(counted, values):
            requests[endpoint] += grown
            errors[endpoint] += grown if status.startswith("5") else 0.0
        for endpoint, bound, grown in self._durations(timed, values):
            buckets[endpoint][bound] = buckets[endpoint].get(bound, 0.0) + grown
        if self._last_s is not None and now_s > self._last_s:
            self._ticks.append(Tick(now_s - self._last_s, requests, errors, buckets))
        self._last, self._last_s = values, now_s
        self._forget()
        every = (*(tick.requests for tick in self._ticks), requests)
        self._endpoints = {endpoint: None for each in every for endpoint in each}

    def _forget(self) -> None:
        """Drop ticks that are older than the longest window."""
        seconds = sum(tick.seconds for tick in self._ticks)
        while self._ticks and seconds - self._ticks[0].seconds >= max(WINDOWS_S):
            seconds -= self._ticks.popleft().seconds

    def _increase(self, key: SeriesKey, value: float, values: dict[SeriesKey, float]) -> float:
        """The increase of a counter; one that fell was reset to 0, one that is new started at 0."""
        values[key] = value
        before = self._last.get(key)
        if before is None:
            return value if self._last_s is not None else 0.0
        return value - before if value >= before else value

    def _grown(
        self, family: ScrapedFamily | None, values: dict[SeriesKey, float]
    ) -> Iterator[tuple[str, str, float]]:
        for sample in family.samples if family is not None else ():
            if sample.name.endswith(("_bucket", "_sum", "_created")):
                continue
            status = next((sample.labels[name] for name in _STATUS if name in sample.labels), "")
            yield (
                _endpoint(sample.labels),
                status,
                self._increase((sample.name, sample.series.pairs), sample.value, values),
            )

    def _durations(
        self, family: ScrapedFamily | None, values: dict[SeriesKey, float]
    ) -> Iterator[tuple[str, float, float]]:
        for sample in family.samples if family is not None else ():
            if sample.name.endswith("_bucket"):
                grown = self._increase((sample.name, sample.series.pairs), sample.value, values)
                try:
                    yield _endpoint(sample.labels), float(sample.labels.get("le", "")), grown
                except ValueError:
                    continue

    def rows(self) -> list[RateRow]:
        """Every endpoint that was seen, busiest first."""
        found = [self._row(endpoint) for endpoint in self._endpoints]
        return sorted(found, key=lambda row: (*(-rate for rate in row.rates), row.endpoint))

    def _row(self, endpoint: str) -> RateRow:
        rates = tuple(self._rate(endpoint, window_s) for window_s in WINDOWS_S)
        total = sum(tick.requests.get(endpoint, 0.0) for tick in self._ticks)
        failed = sum(tick.errors.get(endpoint, 0.0) for tick in self._ticks)
        merged: BucketCounts = {}
        for tick in self._ticks:
            for bound, count in tick.buckets.get(endpoint, {}).items():
                merged[bound] = merged.get(bound, 0.0) + count
        points = [tick.requests.get(endpoint, 0.0) / tick.seconds for tick in list(self._ticks)[-POINTS:]]
        return RateRow(
            endpoint, rates, failed / total if total else math.nan, quantile(0.95, merged), tuple(points)
        )

    def _rate(self, endpoint: str, window_s: float) -> float:
        """Requests a second over a window, or since the first page if that is shorter."""
        seconds = grown = 0.0
        for tick in reversed(self._ticks):
            seconds += tick.seconds
            grown += tick.requests.get(endpoint, 0.0)
            if seconds >= window_s:
                break
        return grown / seconds if seconds else 0.0


def _families(page: ScrapedPage) -> tuple[ScrapedFamily | None, ScrapedFamily | None]:
    """The family that counts served requests, and the histogram of their durations."""
    served = [family for family in page.families.values() if _is_served(family)]
    counters = [f for f in served if f.type == "counter" and any(name in _labels(f) for name in _STATUS)]
    histogram = next((f for f in served if f.type == "histogram"), None)
    return next(iter(counters), histogram), histogram


def _is_served(family: ScrapedFamily) -> bool:
    words = set(family.name.split("_"))
    labels = _labels(family)
    is_request = bool(words & {"request", "requests", "response", "responses"})
    return is_request and not words & _OTHERS and any(name in labels for name in _WHERE)


def _labels(family: ScrapedFamily) -> Mapping[str, str]:
    return family.samples[0].labels if family.samples else {}


def _endpoint(labels: Mapping[str, str]) -> str:
    return next((labels[name] for name in _WHERE if name in labels), "")


def quantile(q: float, buckets: BucketCounts) -> float:
    """A quantile over cumulative buckets, as `histogram_quantile` computes it; NaN without observations."""
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if total <= 0 or bounds[-1] != math.inf:
        return math.nan
    rank, lower, below = q * total, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if bound == math.inf:
                return lower
            inside = buckets[bound] - below
            return lower + (bound - lower) * ((rank - below) / inside if inside else 1.0)
        lower, below = bound, buckets[bound]
    return lower


def sparkline(points: tuple[float, ...]) -> str:
    """One character for each point: a blank at 0, a full block at the maximum."""
    highest = max(points, default=0.0)
    marks = " ▁▂▃▄▅▆▇█"
    return "".join(marks[math.ceil(8 * point / highest)] if highest > 0 else marks[0] for point in points)
