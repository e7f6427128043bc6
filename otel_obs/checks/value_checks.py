"""Checks of the values of one page: NaN, counters below zero, times, and histograms."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from otel_obs.checks.all_checks import Finding
from otel_obs.checks.evidence import PageEvidence
from otel_obs.checks.movement import CUMULATIVE
from otel_obs.reading.page import LabelPairs, ScrapedFamily

BucketPairs = list[tuple[float, float]]
"""Upper bounds, ascending, each with the cumulative count."""

ENOUGH = 100
"""The bounds of a histogram with fewer observations are not judged."""
MOST, NEARLY_ALL = 0.5, 0.999
FAST_S = 0.05
"""A first bound of at most this is fine enough: differences between faster requests rarely matter."""


def check_values(evidence: PageEvidence) -> Iterator[Finding]:
    """Each family's values."""
    for family in evidence.text.page.families.values():
        yield from _numbers(family)
        if family.type == "histogram":
            yield from _histogram(family)


def _numbers(family: ScrapedFamily) -> Iterator[Finding]:
    judged = [sample for sample in family.samples if "quantile" not in sample.labels]
    nans = sum(math.isnan(sample.value) for sample in judged)
    if nans:
        yield Finding("OBS031", family.name, f"has {nans} series without a number (NaN)")
    counted = [sample for sample in judged if sample.name in _counted_names(family)]
    endless = sum(math.isinf(sample.value) for sample in counted)
    if endless:
        yield Finding("OBS031", family.name, f"has {endless} series that count and are infinite")
    if any(sample.value < 0 for sample in counted):
        yield Finding("OBS032", family.name, f"is a {family.type} with a count below zero")
    if any(sample.timestamp_s is not None for sample in family.samples):
        yield Finding("OBS036", family.name, "has samples with a time of their own")


def _counted_names(family: ScrapedFamily) -> set[str]:
    """The names of samples that only grow."""
    return {family.name + suffix for suffix in CUMULATIVE.get(family.type, ())}


def _histogram(family: ScrapedFamily) -> Iterator[Finding]:
    series = buckets_of(family)
    if not series:
        yield Finding("OBS033", family.name, "has no bucket")
        return
    counts = {s.series.pairs: s.value for s in family.samples if s.name == family.name + "_count"}
    for pairs, buckets in series.items():
        problem = _inconsistency(buckets, counts.get(pairs))
        if problem:
            yield Finding("OBS033", family.name, f"{_shown(pairs)}{problem}")
            return
    yield from _fit(family, list(series.values()))


def buckets_of(family: ScrapedFamily) -> Mapping[LabelPairs, BucketPairs]:
    """The buckets of every series of a histogram, by its labels without `le`; NaN for an invalid bound."""
    series: defaultdict[LabelPairs, BucketPairs] = defaultdict(list)
    for sample in family.samples:
        if sample.name == family.name + "_bucket":
            pairs = tuple(pair for pair in sample.series.pairs if pair[0] != "le")
            series[pairs].append((_bound(sample.labels.get("le", "")), sample.value))
    return {pairs: sorted(buckets, key=lambda bucket: bucket[0]) for pairs, buckets in series.items()}


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _shown(pairs: LabelPairs) -> str:
    return "{" + ", ".join(f"{name}={value!r}" for name, value in pairs) + "} " if pairs else ""


def _inconsistency(buckets: BucketPairs, count: float | None) -> str:
    if any(math.isnan(bound) for bound, _ in buckets):
        return "has a bucket whose le is no number"
    if buckets[-1][0] != math.inf:
        return 'has no bucket le="+Inf"'
    for (before, lower), (bound, upper) in pairwise(buckets):
        if before == bound:
            return f"has the bound {bound:g} twice, written in two ways"
        if upper < lower:
            return f"has a bucket le={bound:g} with less than the one before: buckets must be cumulative"
    if count is None:
        return "has no _count"
    return "" if count == buckets[-1][1] else f"has _count {count:g} and {buckets[-1][1]:g} in its buckets"


def _fit(family: ScrapedFamily, series: Sequence[BucketPairs]) -> Iterator[Finding]:
    """Whether the bounds separate the observations, over all series of the family."""
    total = sum(buckets[-1][1] for buckets in series)
    if total < ENOUGH:
        return
    bounded = [buckets for buckets in series if len(buckets) > 1]
    beyond = total - sum(buckets[-2][1] for buckets in bounded)
    if not bounded:
        yield Finding("OBS034", family.name, "has no bounds")
    elif beyond > MOST * total:
        highest = max(buckets[-2][0] for buckets in bounded)
        share = 100 * beyond / total
        yield Finding(
            "OBS034", family.name, f"has {share:.0f}% of observations above its highest bound, {highest:g}"
        )
    else:
        first = sum(buckets[0][1] for buckets in bounded)
        lowest = max(buckets[0][0] for buckets in bounded)
        is_fine = family.name.endswith("_seconds") and lowest <= FAST_S
        if first >= NEARLY_ALL * total and lowest > 0 and not is_fine:
            yield Finding(
                "OBS035", family.name, f"has all observations in its first bucket, up to {lowest:g}"
            )
