"""Repairs families of other collectors for strict parsers, so that one odd sample does not cost the page.

A parser of OpenMetrics refuses a whole page for one sample that its type does not allow. Such a sample is
repaired if the rest of its series tells how; if not, it is left out. The text format shows it as it is.

Source: OpenMetrics 1.0.0, Metric Types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf, isfinite, isnan

from otel_obs.exposition.from_client import OtherFamily, OtherSample
from otel_obs.exposition.lexical import number
from otel_obs.exposition.names import Labels
from otel_obs.exposition.plan import warn_once


def readable(family: OtherFamily, has_any_sum: bool = False) -> OtherFamily:
    """*family* as a strict parser reads it.

    Args:
        family: What a collector yielded.
        has_any_sum: Whether the sum of a histogram may be any number, as in OpenMetrics 2.0.
    """
    repair = _REPAIRS.get(family.type, _plain)
    if has_any_sum and repair is _histogram:
        repair = _histogram_with_any_sum
    own = {"histogram": "le", "gaugehistogram": "le", "summary": "quantile", "stateset": family.name}.get(
        family.type, ""
    )
    series: dict[Labels, list[OtherSample]] = {}
    for sample in family.samples:
        labels = tuple(label for label in sample.labels if label[0] != own)
        is_point = sample.suffix in ("", "_bucket")  # a count or a sum is of the whole series
        series.setdefault(labels, []).append(sample if is_point else sample._replace(labels=labels))
    samples = [
        sample for labels, some in series.items() for sample in _at_one_time(repair(family, labels, some))
    ]
    if family.type == "info":  # all of it is one group to a parser, whatever the labels
        samples = _at_one_time(iter(samples))
    if len(samples) < len(family.samples) and _are_lost(family.samples, samples):
        warn_once(
            f"{family.name!r} of prometheus_client has samples that a {family.type} cannot have; "
            "OpenMetrics goes without them"
        )
    return family._replace(samples=samples)


def _at_one_time(samples: Iterator[OtherSample]) -> list[OtherSample]:
    """One series has one time, or none: a parser refuses a page where only some of its samples have one."""
    found = list(samples)
    if len({sample.unix_s for sample in found}) > 1:
        return [sample._replace(unix_s=None) for sample in found]
    return found


def _are_lost(before: list[OtherSample], after: list[OtherSample]) -> bool:
    kept = {(sample.suffix, sample.labels) for sample in after}
    return any((sample.suffix, sample.labels) not in kept for sample in before)


def _plain(family: OtherFamily, labels: Labels, samples: list[OtherSample]) -> Iterator[OtherSample]:
    for sample in _once(samples):
        yield sample._replace(exemplar=None)


def _counter(family: OtherFamily, labels: Labels, samples: list[OtherSample]) -> Iterator[OtherSample]:
    found = {sample.suffix: sample for sample in _once(samples)}
    total = found.get("_total")
    if total is not None and total.value >= 0:
        yield total
        yield from _created(found)


def _state(family: OtherFamily, labels: Labels, samples: list[OtherSample]) -> Iterator[OtherSample]:
    """A state is one that holds or does not: `1` or `0`, and its label is named like the family."""
    for sample in _once(samples):
        if sample.value in (0.0, 1.0) and any(name == family.name for name, _ in sample.labels):
            yield sample._replace(exemplar=None)


def _info(family: OtherFamily, labels: Labels, samples: list[OtherSample]) -> Iterator[OtherSample]:
    for sample in _once(samples):
        yield sample._replace(value=1.0, exemplar=None)


def _summary(family: OtherFamily, labels: Labels, samples: list[OtherSample]) -> Iterator[OtherSample]:
    found: dict[str, OtherSample] = {}
    for sample in _once(samples):
        if sample.suffix:
            found.setdefault(sample.suffix, sample)
        elif 0.0 <= _number_in(sample, "quantile") <= 1.0 and not sample.value < 0:
            yield _spelt(sample, "quantile")
    yield from _total_and_count(found)
    yield from _created(found)


def _histogram_with_any_sum(
    family: OtherFamily, labels: Labels, samples: list[OtherSample]
) -> Iterator[OtherSample]:
    return _histogram(family, labels, samples, has_any_sum=True)


def _histogram(
    family: OtherFamily, labels: Labels, samples: list[OtherSample], has_any_sum: bool = False
) -> Iterator[OtherSample]:
    is_gauge = family.type == "gaugehistogram"
    count_suffix, sum_suffix = ("_gcount", "_gsum") if is_gauge else ("_count", "_sum")
    found = {sample.suffix: sample for sample in _once(samples) if sample.suffix != "_bucket"}
    buckets = _buckets(labels, samples, found.get(count_suffix))
    if not buckets:
        return
    for bound, sample in buckets.items():
        yield _spelt(sample, "le", bound)
    amount = found.get(sum_suffix)
    if amount is not None and not has_any_sum and not _may_be_sum(amount.value, min(buckets) < 0, is_gauge):
        amount = None
    if amount is not None or (has_any_sum and count_suffix in found):
        yield OtherSample(count_suffix, labels, buckets[inf].value, buckets[inf].unix_s, None)
    if amount is not None:
        yield amount
    yield from _created(found)


def _may_be_sum(value: float, has_negative: bool, is_gauge: bool) -> bool:
    """A sum that may fall is no counter's: OpenMetrics forbids it, and the count with it."""
    if is_gauge:
        return value >= 0 or (has_negative and not isnan(value))
    return not has_negative and value >= 0


def _buckets(own: Labels, samples: list[OtherSample], count: OtherSample | None) -> dict[float, OtherSample]:
    """The buckets by their bounds, ascending, none smaller than the one before, the last of them `+Inf`."""
    by_bound: dict[float, OtherSample] = {}
    for sample in samples:
        bound = _number_in(sample, "le") if sample.suffix == "_bucket" else float("nan")
        if not isnan(bound) and _is_count(sample.value):
            by_bound.setdefault(bound, sample)
    if count is not None and inf not in by_bound and _is_count(count.value):
        labels = (*own, ("le", "+Inf"))
        by_bound[inf] = OtherSample("_bucket", tuple(sorted(labels)), count.value, count.unix_s, None)
    if not by_bound:
        return {}
    if inf not in by_bound:
        last = by_bound[max(by_bound)]
        by_bound[inf] = last._replace(labels=_with(last.labels, "le", "+Inf"), exemplar=None)
    buckets, least = {}, 0.0
    for bound in sorted(by_bound):
        least = max(least, by_bound[bound].value)
        buckets[bound] = by_bound[bound]._replace(value=least)
    return buckets


def _is_count(value: float) -> bool:
    return isfinite(value) and value >= 0 and value % 1 == 0


def _total_and_count(found: dict[str, OtherSample]) -> Iterator[OtherSample]:
    count, amount = found.get("_count"), found.get("_sum")
    if count is not None and _is_count(count.value):
        yield count
    if amount is not None and amount.value >= 0:
        yield amount


def _created(found: dict[str, OtherSample]) -> Iterator[OtherSample]:
    created = found.get("_created")
    if created is not None and created.value > 0 and isfinite(created.value):
        yield created


def _once(samples: list[OtherSample]) -> list[OtherSample]:
    """The first of each group of samples with equal names and labels."""
    kept: dict[tuple[str, Labels, float | None], OtherSample] = {}
    for sample in samples:
        if sample.unix_s is None or isfinite(sample.unix_s):
            kept.setdefault((sample.suffix, sample.labels, None), sample)
    return list(kept.values())


def _number_in(sample: OtherSample, label: str) -> float:
    try:
        return float(dict(sample.labels)[label])
    except (KeyError, ValueError):
        return float("nan")


def _spelt(sample: OtherSample, label: str, value: float | None = None) -> OtherSample:
    """A bound as OpenMetrics spells it: `inf` is `+Inf`, and `1` is `1.0`."""
    bound = _number_in(sample, label) if value is None else value
    return sample._replace(labels=_with(sample.labels, label, number(bound)))


def _with(labels: Labels, label: str, value: str) -> Labels:
    return tuple((name, value if name == label else old) for name, old in labels)


_REPAIRS: dict[str, Callable[[OtherFamily, Labels, list[OtherSample]], Iterator[OtherSample]]] = {
    "counter": _counter,
    "stateset": _state,
    "info": _info,
    "summary": _summary,
    "histogram": _histogram,
    "gaugehistogram": _histogram,
}
