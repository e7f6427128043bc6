"""`prometheus_client.multiprocess`: code written for it gets the metrics of all workers.

Numbers in cells are added to those in the files of `PROMETHEUS_MULTIPROC_DIR`: these are of metrics in
registries of a single process, and of processes without otel_obs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from glob import glob
from typing import Any

from prometheus_client import multiprocess as their_multiprocess
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import CollectorRegistry

from otel_obs.cells.snapshot import Snapshot
from otel_obs.exposition.to_client import to_prometheus_client
from otel_obs.prometheus import _families, _service
from otel_obs.prometheus._moving import StandingIn
from otel_obs.prometheus.registry import REGISTRY
from otel_obs.settings import process_environment

__all__ = ["MultiProcessCollector", "mark_process_dead"]

_VARIABLES = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
_ADDED = ("counter", "histogram", "summary")
_ADD: Callable[[float, float], float] = float.__add__
_GAUGES: dict[str, Callable[[float, float], float]] = {"sum": _ADD, "min": min, "max": max}
"""How a gauge in cells is merged with one in files, by mode; in any other mode that in cells wins."""


class MultiProcessCollector:
    """Every metric of every worker, of all registries, and what otel_obs measures by itself.

    Args:
        registry: Where to register; the default registry has all of it anyway.
        path: A directory of `prometheus_client`'s files; by default the environment's, if there is one.
    """

    def __init__(self, registry: CollectorRegistry | None, path: str | None = None) -> None:
        environ = process_environment()
        self._path = path or next((environ[name] for name in _VARIABLES if name in environ), None)
        if registry and registry is not REGISTRY:
            registry.register(self)

    merge = staticmethod(their_multiprocess.MultiProcessCollector.merge)

    def describe(self) -> list[Metric]:
        """Return no names, so that registering this collector clashes with none."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families, merged over workers and registries, without `_created` samples."""
        files = glob(os.path.join(self._path, "*.db")) if self._path else []
        merge: Any = self.merge
        yield from _everything(merge(files, accumulate=True) if files else ())


def with_cells(collect: Callable[[Any], Iterable[Metric]]) -> Callable[[Any], Iterable[Metric]]:
    """Wrap `collect` of `prometheus_client`'s collector, so that it also returns the metrics in cells."""

    @wraps(collect)
    def collect_both(self: Any) -> Iterable[Metric]:
        return _everything(collect(self)) if StandingIn.is_on else collect(self)

    return collect_both


def _everything(filed: Iterable[Metric]) -> Iterator[Metric]:
    columns = _families.read()
    merged: dict[str, Metric] = {}
    for stream, column in columns.items():
        if _families.is_ours(stream):
            for family in _families.families_of(column, has_created=False):
                _merge(merged.setdefault(family.name, family), family)
    for family in filed:
        _merge(merged.setdefault(family.name, family), family)
    yield from merged.values()
    rest = [column for stream, column in columns.items() if not _families.is_ours(stream)]
    for family in to_prometheus_client(Snapshot(rest, 0, 0), _service.current().options, False):
        if family.name not in merged:
            yield family


def _merge(family: Metric, other: Metric) -> None:
    """Add the samples of *other*, a family of the same name from another registry or from files."""
    if other is family or other.type != family.type:
        return
    mode: str = getattr(other, "_multiprocess_mode", "").removeprefix("live")
    combine = _ADD if family.type in _ADDED else _GAUGES.get(mode)
    places = {(each.name, *sorted(each.labels.items())): at for at, each in enumerate(family.samples)}
    for sample in other.samples:
        at = places.get((sample.name, *sorted(sample.labels.items())))
        if at is None:
            if combine is not None or sample.value == sample.value:  # NaN: the gauge has moved to cells
                family.samples.append(sample)
        elif combine is not None:
            known = family.samples[at]
            family.samples[at] = known._replace(value=combine(float(known.value), float(sample.value)))


def mark_process_dead(pid: Any, path: str | None = None) -> None:
    """Delete the gauge files of a dead worker. Its cells need no call: readers notice that it is dead."""
    if path or any(name in process_environment() for name in _VARIABLES):
        their_multiprocess.mark_process_dead(pid, path)  # type: ignore[no-untyped-call]
