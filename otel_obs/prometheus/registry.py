"""Registries: those of `prometheus_client`, which read all of our metrics at one moment."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Any

import prometheus_client
from prometheus_client import registry as theirs
from prometheus_client.metrics_core import Metric

from otel_obs.host import forks
from otel_obs.prometheus import _service
from otel_obs.prometheus._families import one_reading

__all__ = ["REGISTRY", "Collector", "CollectorRegistry", "DuplicateTimeseries", "RestrictedRegistry"]

Collector = theirs.Collector
DuplicateTimeseries: type[ValueError] = getattr(theirs, "DuplicateTimeseries", ValueError)
"""What a registry raises that has the name of a metric already; a `ValueError` before version 0.26."""

_registries: weakref.WeakSet[CollectorRegistry] = weakref.WeakSet()


class CollectorRegistry(theirs.CollectorRegistry):
    """See `prometheus_client.CollectorRegistry`. Our metrics in it are merged over workers."""

    __doc__ = theirs.CollectorRegistry.__doc__

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _registries.add(self)

    def collect(self) -> Iterator[Metric]:
        """Every family of every collector; ours as they are at one moment."""
        _service.current()  # before the collectors are looked up: it may bring one along
        with one_reading():
            families = list(super().collect())
        yield from families

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        """What collects only samples with one of *names*."""
        return RestrictedRegistry(set(names), self)


class RestrictedRegistry(theirs.RestrictedRegistry):
    """See `prometheus_client.registry.RestrictedRegistry`."""

    def collect(self) -> Iterator[Metric]:
        """Every sample that is asked for; ours as they are at one moment."""
        _service.current()
        with one_reading():
            families = [*super().collect(), *self._nameless()]
        yield from families

    def _nameless(self) -> Iterator[Metric]:
        """Samples of collectors that claim no names: in the default registry, those of otel_obs."""
        if self._registry is not REGISTRY or getattr(
            self._registry, "_support_collectors_without_names", False
        ):
            return
        with self._registry._lock:
            nameless = [each for each, names in self._registry._collector_to_names.items() if not names]
        for collector in nameless:
            for family in collector.collect():
                restricted = family._restricted_metric(self._name_set)  # type: ignore[no-untyped-call]
                if restricted is not None:
                    yield restricted


def _take_over(registry: Any) -> CollectorRegistry:
    """Have the default registry be one of ours, whoever refers to it: a metric must not be in two of them."""
    registry.__class__ = CollectorRegistry
    _registries.add(registry)
    return registry  # type: ignore[no-any-return]


REGISTRY: CollectorRegistry = _take_over(prometheus_client.REGISTRY)


def _after_fork_in_child() -> None:
    for registry in list(_registries):
        registry._lock = Lock()


forks.after_in_child(_after_fork_in_child)
