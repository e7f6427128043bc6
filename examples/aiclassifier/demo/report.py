"""The report: what was sent, what was counted, and how the service did."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import NamedTuple

from demo.exposition import Exposition
from demo.traffic import UNMATCHED, Tally

QUANTILES = 0.5, 0.95, 0.99
LABEL_WIDTH = 22


class Killed(NamedTuple):
    """A worker that was killed, and what it had done."""

    worker: int
    after_s: float
    answered: int
    successor: int | None


class Facts(NamedTuple):
    """Everything that the report is made from."""

    tally: Tally
    exposition: Exposition
    killed: Killed | None
    duration_s: float
    clients: int
    metrics_url: str

    @property
    def counted(self) -> int:
        """Requests that /metrics shows."""
        return sum(self.exposition.requests().values())

    @property
    def is_exact(self) -> bool:
        """Whether each request that was sent is counted once, under its own endpoint and status."""
        return self.tally.unanswered == 0 and self.exposition.requests() == self.tally.answered


def write_report(facts: Facts) -> str:
    """The whole report, as lines for a terminal of 80 columns."""
    sections = killing(facts), totals(facts), by_endpoint(facts), latency(facts), health(facts)
    return "\n\n".join("\n".join("  " + line for line in section) for section in sections)


def verdict(facts: Facts) -> str:
    """Whether counted is what was sent, and if not, what that can mean."""
    difference = facts.counted - facts.tally.sent
    if facts.is_exact:
        return "exact: none lost, none counted twice"
    if facts.tally.unanswered:
        return f"{facts.tally.unanswered:,} without an answer, which may or may not be counted"
    if difference == 0:
        return "the same number, but not under the same endpoints"
    if difference > 0:
        return f"{difference:,} more than sent: someone else asked, or some count twice"
    return f"{-difference:,} MISSING"


def killing(facts: Facts) -> Iterator[str]:
    """What happened to the worker that was killed."""
    killed = facts.killed
    if killed is None:
        yield f"{facts.clients} clients, {facts.duration_s:.0f} s, no worker killed"
        return
    yield f"Worker {killed.worker} had answered {killed.answered:,} requests when SIGKILL ended it."
    if killed.successor is None:
        yield "No other worker took its place."
    else:
        yield f"Worker {killed.successor} took its place. What the dead one counted is still there:"


def totals(facts: Facts) -> Iterator[str]:
    """The two numbers that must be one."""
    rate = facts.tally.sent / facts.duration_s
    yield row("requests sent", f"{facts.tally.sent:,}", f"{facts.clients} clients, {rate:,.0f} a second")
    yield row("requests counted", f"{facts.counted:,}", verdict(facts))


def by_endpoint(facts: Facts) -> Iterator[str]:
    """Sent and counted for every method, endpoint and status that either side knows."""
    sent, counted = facts.tally.answered, facts.exposition.requests()
    yield f"{'method':<8}{'endpoint':<18}{'status':>6}{'sent':>12}{'counted':>12}"
    for key in sorted({*sent, *counted}, key=lambda key: (key[0].endpoint == UNMATCHED, key)):
        (method, endpoint), status = key
        mark = "" if sent[key] == counted[key] else "   <- differs"
        yield f"{method:<8}{endpoint:<18}{status:>6}{sent[key]:>12,}{counted[key]:>12,}{mark}"


def latency(facts: Facts) -> Iterator[str]:
    """Quantiles of the histograms."""
    yield f"{'latency':<{LABEL_WIDTH}}" + "".join(f"{f'p{q * 100:.0f}':>12}" for q in QUANTILES)
    for title, histogram, labels in (
        ("POST /predict", "http_request_duration_seconds", {"method": "POST", "endpoint": "/predict"}),
        ("GET /health", "http_request_duration_seconds", {"method": "GET", "endpoint": "/health"}),
    ):
        found = facts.exposition.quantiles(histogram, QUANTILES, **labels)
        yield f"{title:<{LABEL_WIDTH}}" + "".join(f"{milliseconds(value):>12}" for value in found)
    yield "(from the buckets, as histogram_quantile in PromQL)"


def health(facts: Facts) -> Iterator[str]:
    """How the classifier does, and where to look further."""
    exposition, tally = facts.exposition, facts.tally
    hits, misses = exposition.total("cache_hits_total"), exposition.total("cache_misses_total")
    rate = exposition.total("cache_hit_rate")
    right = tally.read_right / tally.read if tally.read else math.nan
    inferences = exposition.total("inference_duration_seconds_count")
    inference_s = exposition.total("inference_duration_seconds_sum") / inferences if inferences else math.nan
    yield row("inference", milliseconds(inference_s), f"on average, {inferences:,.0f} times")
    yield row("cache hit rate", f"{rate:.1%}", f"{hits:,.0f} hits, {misses:,.0f} misses, one cache a worker")
    yield row("digits read right", f"{right:.1%}", "of images that the model was not trained on")
    yield row("memory", megabytes(exposition.total("process_memory_bytes", type="rss")), "of all workers")
    yield row("metrics", facts.metrics_url, "")


def status_line(facts: Facts) -> str:
    """One line, for a run that goes on."""
    now = time.strftime("%H:%M:%S")
    return f"  {now}   sent {facts.tally.sent:>9,}   counted {facts.counted:>9,}   {verdict(facts)}"


def row(label: str, value: str, note: str) -> str:
    """A label, a value, and what there is to say about it."""
    return f"{label:<{LABEL_WIDTH}}{value:>12}   {note}".rstrip()


def milliseconds(seconds: float) -> str:
    """A duration to read; a dash where there is none."""
    return "-" if math.isnan(seconds) else f"{seconds * 1000:,.1f} ms"


def megabytes(size_bytes: float) -> str:
    """A size to read."""
    return f"{size_bytes / 1e6:,.0f} MB"


def progress_bar(done: float, width: int = 30) -> str:
    """How much is done, 0 to 1."""
    filled = round(min(done, 1.0) * width)
    return "#" * filled + "." * (width - filled)
