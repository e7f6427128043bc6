"""What /metrics says, as the numbers that the report needs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from prometheus_client.parser import text_string_to_metric_families

from demo.traffic import Route


class Exposition:
    """The samples of one scrape, by name."""

    def __init__(self, text: str) -> None:
        self._samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._samples.setdefault(sample.name, []).append((sample.labels, sample.value))

    def find(self, name: str, **labels: str) -> list[tuple[Mapping[str, str], float]]:
        """The samples of that name that have at least these labels."""
        found = self._samples.get(name, ())
        return [(have, value) for have, value in found if labels.items() <= have.items()]

    def total(self, name: str, **labels: str) -> float:
        """Their sum."""
        return sum(value for _, value in self.find(name, **labels))

    def requests(self) -> Counter[tuple[Route, str]]:
        """Requests counted, by method, endpoint and status."""
        counted: Counter[tuple[Route, str]] = Counter()
        for labels, value in self.find("http_requests_total"):
            counted[Route(labels["method"], labels["endpoint"]), labels["status"]] += int(value)
        return counted

    def quantiles(self, histogram: str, qs: Sequence[float], **labels: str) -> list[float]:
        """Quantiles of a histogram, over all its series that have these labels; NaN where it is empty."""
        cumulative: Counter[float] = Counter()
        for have, value in self.find(f"{histogram}_bucket", **labels):
            cumulative[float(have["le"])] += int(value)
        buckets = sorted(cumulative.items())
        return [quantile(q, buckets) for q in qs]


def quantile(q: float, buckets: Sequence[tuple[float, float]]) -> float:
    """Estimate a quantile as PromQL's `histogram_quantile` does: linear inside the bucket that holds it.

    Args:
        q: 0 to 1.
        buckets: Upper bounds, ascending, the last +Inf, each with its cumulative count.
    """
    if not buckets or buckets[-1][1] == 0:
        return math.nan
    rank = q * buckets[-1][1]
    lower, below = 0.0, 0.0
    for upper, count in buckets:
        if count >= rank:
            if math.isinf(upper):
                return lower
            return upper if count == below else lower + (upper - lower) * (rank - below) / (count - below)
        lower, below = upper, count
    return lower
