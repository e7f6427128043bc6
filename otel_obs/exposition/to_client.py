"""Families of otel_obs as those of prometheus_client, for a collector in its REGISTRY."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from math import isfinite
from typing import TYPE_CHECKING, Any

from otel_obs.cells.layout import Kind
from otel_obs.cells.snapshot import Exemplar, Snapshot
from otel_obs.exposition.claims import settle
from otel_obs.exposition.from_client import OURS
from otel_obs.exposition.lexical import number
from otel_obs.exposition.names import TOTAL, Labels, Spelling
from otel_obs.exposition.parts import Part, classic
from otel_obs.exposition.plan import DEFAULT_OPTIONS, Family, Options, plan
from otel_obs.exposition.series import encode_labels, parts
from otel_obs.exposition.shown_exemplars import exemplar_labels, exemplar_to_show, latest_by_bucket

if TYPE_CHECKING:
    from prometheus_client import Metric

_INFINITY = float("inf")


def to_prometheus_client(
    snapshot: Snapshot, options: Options = DEFAULT_OPTIONS, has_created: bool = True
) -> Iterator[Metric]:
    """Make a `prometheus_client.Metric` of each family of *snapshot*.

    Names are classic ones: prometheus_client before 0.22 refuses any other. A clash of names by the rules
    of OpenMetrics makes the later family one of unknown type, since one registry serves both formats.

    Args:
        snapshot: What a scrape read.
        options: The service's choices.
        has_created: Whether counters and histograms have a `_created` sample.
    """
    naming = Spelling(options.translation).normal()
    for family in settle(plan(snapshot, options, naming), (), is_openmetrics=True)[0]:
        yield from _metrics(family, naming, has_created)


def _metrics(family: Family, naming: Spelling, has_created: bool) -> Iterator[Metric]:
    """The metric of *family*; of a histogram of unknown type, one for each name of its samples."""
    metric = _metric(family, naming, has_created)
    names = dict.fromkeys(sample.name for sample in metric.samples)
    if metric.type != "unknown" or len(names) < 2:
        yield metric
        return
    for name in names:
        part = _named(name, family.help, "unknown", "")
        part.samples = [sample for sample in metric.samples if sample.name == name]
        yield part


def _named(name: str, help_text: str, kind: str, unit: str) -> Metric:
    from prometheus_client import Metric

    metric = Metric(name, help_text, kind, unit)
    setattr(metric, OURS, True)
    return metric


def _metric(family: Family, naming: Spelling, has_created: bool) -> Metric:
    is_counter = family.type == "counter" and family.name.endswith(TOTAL)
    stem = family.stem
    unit = family.unit if stem.endswith(f"_{family.unit}") else ""
    kind = "unknown" if family.type == "counter" and not is_counter else family.type
    metric = _named(stem, family.help, kind, unit)
    for _ in encode_labels(family, naming, _same):
        pass
    for part in parts(family, naming, _same):
        if part.kind is Kind.EXPONENTIAL:
            part = classic(part, family.unit)
        if part.kind is Kind.HISTOGRAM:
            _add_histograms(metric, part, naming, has_created and family.type == "histogram")
        else:
            _add_scalars(metric, family, part, naming, has_created and is_counter)
    return metric


def _same(labels: Labels) -> Labels:
    return labels


def _add_scalars(
    metric: Metric, family: Family, part: Part[Labels], naming: Spelling, has_created: bool
) -> None:
    for at, (labels, value) in enumerate(zip(part.labels, part.values, strict=True)):
        exemplars = part.exemplars.get(at) if metric.type == "counter" else None
        _add(
            metric,
            family.name,
            dict(labels),
            value,
            exemplar_to_show(exemplars) if exemplars else None,
            naming,
        )
        if has_created:
            _add_created(metric, labels, part.created_s[at])


def _add_histograms(metric: Metric, part: Part[Labels], naming: Spelling, has_created: bool) -> None:
    les = [number(bound) for bound in (*part.bounds, _INFINITY)]
    for at, (labels, row) in enumerate(zip(part.labels, part.values, strict=True)):
        shown = latest_by_bucket(part.exemplars.get(at, ()))
        counts = list(accumulate(row[:-1]))
        for bucket, (le, count) in enumerate(zip(les, counts, strict=True)):
            own = {**dict(labels), "le": le}
            _add(metric, f"{metric.name}_bucket", own, count, shown.get(bucket), naming)
        _add(metric, f"{metric.name}_count", dict(labels), counts[-1], None, naming)
        _add(metric, f"{metric.name}_sum", dict(labels), row[-1], None, naming)
        if has_created:
            _add_created(metric, labels, part.created_s[at])


def _add_created(metric: Metric, labels: Labels, unix_s: float) -> None:
    if unix_s > 0 and isfinite(unix_s):
        metric.add_sample(f"{metric.name}_created", dict(labels), unix_s)


def _add(
    metric: Metric,
    name: str,
    labels: dict[str, str],
    value: float,
    exemplar: Exemplar | None,
    naming: Spelling,
) -> None:
    metric.add_sample(name, labels, value, exemplar=_client_exemplar(exemplar, naming) if exemplar else None)


def _client_exemplar(exemplar: Exemplar, naming: Spelling) -> Any:
    from prometheus_client.samples import Exemplar as ClientExemplar

    when = exemplar.unix_s if isfinite(exemplar.unix_s) else None
    return ClientExemplar(dict(exemplar_labels(exemplar, naming)), exemplar.value, when)
