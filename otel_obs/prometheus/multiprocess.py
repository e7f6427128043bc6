"""`prometheus_client.multiprocess`: what is written for it runs, and there is nothing left for it to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import metrics as theirs
from prometheus_client.metrics_core import Metric

from otel_obs.cells.snapshot import Snapshot
from otel_obs.exposition.families import to_prometheus_client
from otel_obs.prometheus import _families, _service
from otel_obs.prometheus.registry import REGISTRY, CollectorRegistry

__all__ = ["MultiProcessCollector", "mark_process_dead"]


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
        """The families, merged over workers."""
        columns = _families.read()
        ours = [column for stream, column in columns.items() if _families.is_ours(stream)]
        names = set()
        for column in ours:
            for family in _families.families(column, theirs._use_created):
                names.add(family.name)
                yield family
        rest = [column for stream, column in columns.items() if not _families.is_ours(stream)]
        for family in to_prometheus_client(Snapshot(rest, 0, 0), _service.current().options):
            if family.name not in names:
                yield family


def mark_process_dead(pid: Any, path: str | None = None) -> None:
    """Do nothing: a worker that has died is noticed."""
