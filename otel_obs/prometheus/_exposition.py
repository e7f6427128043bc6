"""Our metrics on the service's own `/metrics`: most are columns that the encoders write as they are."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from prometheus_client import metrics as theirs
from prometheus_client.metrics_core import Metric

from otel_obs.cells.layout import Stream
from otel_obs.cells.snapshot import Column, Snapshot
from otel_obs.exposition.names import Naming, family_name
from otel_obs.prometheus import _families
from otel_obs.prometheus._definition import REGISTRY_KEY
from otel_obs.prometheus._definitions import known_streams
from otel_obs.prometheus._metric import Recorded
from otel_obs.prometheus.registry import REGISTRY

_SUFFIXES = {"counter": "_total", "gauge": "", "histogram": ""}


def is_metric(collector: object) -> bool:
    """Whether *collector* is a metric that `divide` speaks of."""
    return isinstance(collector, Recorded)


def divide(snapshot: Snapshot) -> tuple[Snapshot, list[Metric]]:
    """Sort out what of our metrics the default registry shows.

    Args:
        snapshot: Of all workers.

    Returns:
        The snapshot without what is in no registry or in another one, nor what an encoder would write
        otherwise than `prometheus_client`; and the families of the latter.
    """
    registered = _registered()
    columns: list[Column] = []
    families: list[Metric] = []
    for column in snapshot.columns:
        stream = column.table.stream
        if not _families.is_ours(stream):
            columns.append(column)
        elif _is_shown(stream, registered):
            if _is_written_alike(stream) and _has_plain_labels(column):
                columns.append(_families.alone(column))
            else:
                families += _families.families(_families.alone(column), theirs._use_created)
        registered.pop(stream, None)
    # Where no worker has recorded anything yet.
    families += [
        family for metric in set(registered.values()) for family in metric.collect() if family.samples
    ]
    return snapshot._replace(columns=columns), families


def _registered() -> dict[Stream, Any]:
    """The metrics of the default registry, by their streams."""
    return {
        stream: metric
        for metric in list(REGISTRY._collector_to_names)
        if isinstance(metric, Recorded)
        for stream in metric.streams()
    }


def _is_shown(stream: Stream, registered: dict[Stream, Any]) -> bool:
    """Whether the default registry has it; of what other workers alone know, it has what has no number."""
    if stream in registered:
        return True
    return stream not in known_streams() and REGISTRY_KEY not in dict(stream.scope.attributes)


@lru_cache(maxsize=4096)
def _is_written_alike(stream: Stream) -> bool:
    """Whether the type and the name are OpenTelemetry's too."""
    suffix = _SUFFIXES.get(_families.type_of(stream))
    return suffix is not None and family_name(stream) == stream.name + suffix


def _has_plain_labels(column: Column) -> bool:
    naming = Naming()
    return all(naming.label(key) == key for each in column.table.attributes[:1] for key, _ in each)
