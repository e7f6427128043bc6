"""`prometheus_client.multiprocess`: what is written for it runs, and there is nothing left for it to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.metrics_core import Metric

from otel_obs.cells.snapshot import Snapshot
from otel_obs.exposition.families import to_prometheus_client
from otel_obs.prometheus import _families, _service
from otel_obs.prometheus.registry import REGISTRY, CollectorRegistry

__all__ = ["MultiProcessCollector", "mark_process_dead"]

_ADDED = ("counter", "histogram", "summary")


class MultiProcessCollector:
    """Every metric of every worker, of all registries, and what otel_obs measures by itself.

    Args:
        registry: Where to register; the default registry has all of it anyway.
        path: Not used: there is no directory to name.
    """

    def __init__(self, registry: CollectorRegistry | None, path: str | None = None) -> None:
        if registry and registry is not REGISTRY:
            registry.register(self)

    def describe(self) -> list[Metric]:
        """No names are claimed."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families, merged over workers and registries, without the times at which series began."""
        columns = _families.read()
        merged: dict[str, Metric] = {}
        for stream, column in columns.items():
            if _families.is_ours(stream):
                for family in _families.families(column, has_created=False):
                    _merge(merged.setdefault(family.name, family), family)
        yield from merged.values()
        rest = [column for stream, column in columns.items() if not _families.is_ours(stream)]
        for family in to_prometheus_client(Snapshot(rest, 0, 0), _service.current().options, False):
            if family.name not in merged:
                yield family


def _merge(family: Metric, other: Metric) -> None:
    """Add what another registry has of the same name; of gauges, the first one's value stays."""
    if other is family or other.type != family.type:
        return
    places = {(each.name, *sorted(each.labels.items())): at for at, each in enumerate(family.samples)}
    for sample in other.samples:
        at = places.get((sample.name, *sorted(sample.labels.items())))
        if at is None:
            family.samples.append(sample)
        elif family.type in _ADDED:
            known = family.samples[at]
            family.samples[at] = known._replace(value=known.value + sample.value)


def mark_process_dead(pid: Any, path: str | None = None) -> None:
    """Do nothing: a worker that has died is noticed."""
