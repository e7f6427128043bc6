"""Metrics of this package on the service's own `/metrics`: the encoders write most columns as they are."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from prometheus_client import metrics as their_metrics
from prometheus_client.metrics_core import Metric

from otel_obs.cells.layout import Stream
from otel_obs.cells.snapshot import Column, Snapshot
from otel_obs.exposition.from_client import yielded_by
from otel_obs.exposition.names import Spelling, family_name
from otel_obs.prometheus import _families
from otel_obs.prometheus._binding import REGISTRY_KEY
from otel_obs.prometheus._inventory import known_streams
from otel_obs.prometheus._metric import RecordedMetric
from otel_obs.prometheus.registry import REGISTRY, reads_only

_SUFFIXES = {"counter": "_total", "gauge": "", "histogram": ""}


def is_metric(collector: object) -> bool:
    """Whether `split_off` returns what *collector* shows, so that it need not be collected."""
    return isinstance(collector, RecordedMetric) and reads_only(collector)


def split_off(snapshot: Snapshot) -> tuple[Snapshot, list[Metric]]:
    """Select the metrics of this package that the default registry shows.

    Args:
        snapshot: Of all workers.

    Returns:
        The snapshot without two sorts of columns: those of metrics that are not in the default registry, and
        those that an encoder would write differently from `prometheus_client`. Then the families of the
        second sort.
    """
    registered, known = _registered(), known_streams()
    columns: list[Column] = []
    left: dict[Stream, Column] = {}
    for column in snapshot.columns:
        stream = column.table.stream
        if not _families.is_ours(stream):
            columns.append(column)
            continue
        metric = registered.get(stream)
        if metric is None and (stream in known or REGISTRY_KEY in dict(stream.scope.attributes)):
            continue
        alone = _families.without_worker(column)
        if _is_written_alike(alone) and not (metric is not None and metric._makes_samples):
            columns.append(alone)
            registered.pop(stream, None)
        elif metric is None:  # only another worker has this metric
            left[stream] = alone
        elif not is_metric(metric):  # a class with its own `collect`: the registry has collected it already
            registered.pop(stream)
    families = [
        family
        for column in left.values()
        for family in _families.families_of(column, their_metrics._use_created)
    ]
    with _families.reading_columns({column.table.stream: column for column in snapshot.columns}):
        for metric in dict.fromkeys(registered.values()):
            if is_metric(metric):
                families += yielded_by(metric)
    return snapshot._replace(columns=columns), families


def _registered() -> dict[Stream, Any]:
    """The metrics of the default registry, by their streams."""
    return {
        stream: metric
        for metric in list(REGISTRY._collector_to_names)
        if isinstance(metric, RecordedMetric)
        for stream in metric.streams()
    }


def _is_written_alike(column: Column) -> bool:
    """Whether an encoder writes *column* exactly as `prometheus_client` does."""
    return (
        bool(column.table.attributes) and _is_named_alike(column.table.stream) and _has_plain_labels(column)
    )


@lru_cache(maxsize=4096)
def _is_named_alike(stream: Stream) -> bool:
    """Whether the encoders give the stream the type and the name that `prometheus_client` gives it."""
    suffix = _SUFFIXES.get(_families.type_of(stream))
    return suffix is not None and family_name(stream) == stream.name + suffix


def _has_plain_labels(column: Column) -> bool:
    naming = Spelling()
    return all(naming.label(key) == key for each in column.table.attributes[:1] for key, _ in each)
