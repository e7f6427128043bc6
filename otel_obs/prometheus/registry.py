"""Registries: those of `prometheus_client`, of which some are merged over workers."""

from __future__ import annotations

from _thread import RLock
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import prometheus_client
from prometheus_client import metrics
from prometheus_client import registry as their_registry
from prometheus_client.metrics_core import Metric

from otel_obs.cells.snapshot import Column
from otel_obs.exposition.from_client import IS_OURS
from otel_obs.host import forks
from otel_obs.host.signals import complete
from otel_obs.host.weak import WeakObjects
from otel_obs.prometheus import _families, _service
from otel_obs.prometheus._binding import REGISTRY_KEY
from otel_obs.prometheus._borrowed_names import known_as, named_as
from otel_obs.prometheus._families import one_reading
from otel_obs.prometheus._inventory import known_streams
from otel_obs.prometheus._metric import RecordedMetric
from otel_obs.prometheus._moving import may_move, move_in
from otel_obs.prometheus._registry_names import NAME, SITE, find_site, name_of, shared_name

__all__ = ["REGISTRY", "Collector", "CollectorRegistry", "DuplicateTimeseries", "RestrictedRegistry", "share"]

Collector = their_registry.Collector
DuplicateTimeseries: type[ValueError] = getattr(their_registry, "DuplicateTimeseries", ValueError)
"""Raised for a metric whose name the registry has already; a plain `ValueError` before version 0.26."""

RegistryT = TypeVar("RegistryT", bound=their_registry.CollectorRegistry)

_registries: WeakObjects[their_registry.CollectorRegistry] = WeakObjects()
_names: ContextVar[dict[int, list[str]] | None] = ContextVar("otel_obs.prometheus.names", default=None)


class SharedRegistry(their_registry.CollectorRegistry):
    """A registry that is merged over workers; its metrics are all read from one snapshot."""

    def register(self, collector: Collector) -> None:
        """Add a collector; a metric records to cells from now on, beginning with what it has counted.

        A collector without `describe` is collected for its names, here before the registry is locked: it may
        record, and the first record of a process registers collectors itself.
        """
        known = {id(collector): super()._get_names(collector)}  # type: ignore[no-untyped-call]
        token = _names.set(known)
        try:
            super().register(collector)
        except BaseException:
            # A signal handler's, which came when the collector was in already.
            if collector in self._collector_to_names:
                self.take_in(collector)
            raise
        finally:
            _names.reset(token)
        complete(lambda: self.take_in(collector))

    def take_in(self, collector: Any) -> None:
        """Make a member of this registry shared: a metric records to cells, a registry is merged too."""
        if isinstance(collector, their_registry.CollectorRegistry):
            share(collector)
        elif may_move(collector):
            move_in(collector, shared_name(self) or "")

    def _get_names(self, collector: Any) -> list[str]:
        known = (_names.get() or {}).get(id(collector))
        return super()._get_names(collector) if known is None else known  # type: ignore[no-untyped-call]

    def collect(self) -> Iterator[Metric]:
        """Collect every family.

        Collectors that run code come first, since they may record; then metrics in cells, from one snapshot.
        """
        _service.current()  # before the collectors are listed: to configure the service may register some
        yield from _collect(self, _in_order(self))

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        """A registry that collects only samples with one of *names*."""
        return RestrictedRegistry(set(names), self)


class CollectorRegistry(their_registry.CollectorRegistry):
    """See `prometheus_client.CollectorRegistry`; `share` tells which registries are merged over workers."""

    __doc__ = their_registry.CollectorRegistry.__doc__

    if not TYPE_CHECKING:  # the arguments are those of the installed version of the client

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            note_maker(self)


def note_maker(registry: their_registry.CollectorRegistry) -> None:
    """Store where *registry* was made; merge it over workers if that was during the import of a module."""
    site = find_site()
    setattr(registry, SITE, site)
    if site is not None and site.module and shared_name(registry) is None:
        share(registry)


def share(registry: RegistryT, name: str = "") -> RegistryT:
    """Merge the metrics of *registry* over all workers of the service, dead ones included.

    Merged already are the default registry, and any that was made while a module was imported, is served, or
    is registered in a merged one. Any other registry shows what was counted in its own process.

    Args:
        registry: The registry; a second call changes nothing.
        name: The name by which workers identify it; by default one that tells where it was made.

    Returns:
        The registry.
    """
    complete(partial(_share, registry, name, shared_name(registry) is None))
    return registry


def _share(registry: their_registry.CollectorRegistry, name: str, is_new: bool) -> None:
    # A registry that got its name by default may be renamed as long as it is empty.
    if is_new or (name and not registry._collector_to_names):
        setattr(registry, NAME, name or name_of(registry))
    if is_new:
        _turn(registry)


named_as(SharedRegistry, their_registry.CollectorRegistry)
_classes: dict[type, type] = {}


def _turn(registry: Any) -> None:
    """Make *registry* a `SharedRegistry` by assigning its class: references to the object stay valid."""
    kind = type(registry)
    if not issubclass(kind, SharedRegistry):
        if kind not in _classes:
            bases = (SharedRegistry,) if issubclass(SharedRegistry, kind) else (kind, SharedRegistry)
            _classes[kind] = known_as(type(kind.__name__, bases, {"__doc__": kind.__doc__}), kind)
        registry.__class__ = _classes[kind]
    # Re-entrant, unlike a `threading.Lock`: a signal handler may use the registry on this thread.
    if not isinstance(registry._lock, RLock):
        registry._lock = RLock()
    _registries.add(registry)
    _take_all_in(registry)


def _take_all_in(registry: Any) -> None:
    for collector in list(registry._collector_to_names):
        registry.take_in(collector)


def move_all_in() -> None:
    """Make every metric of the merged registries record to cells."""
    for registry in _registries.living():
        complete(partial(_take_all_in, registry))


ByRegistry = dict[str, list[Column]]
"""Columns of the snapshot, by the name of a registry."""

Order = list[tuple[Any, "Order | None"]]
"""Collectors in order of registration, each with its own collectors if it is a registry."""


def _in_order(registry: Any) -> Order:
    with registry._lock:
        collectors = list(registry._collector_to_names)
    return [(each, _in_order(each) if isinstance(each, SharedRegistry) else None) for each in collectors]


def _is_read(collector: Any) -> bool:
    """Whether *collector* only reads cells, and runs no code of the application that may change them."""
    return getattr(collector, IS_OURS, False) or (
        isinstance(collector, RecordedMetric) and reads_only(collector)
    )


def reads_only(metric: RecordedMetric) -> bool:
    """Whether *metric* has the `collect` of this package: that of an application's subclass may do more."""
    return type(metric).collect is RecordedMetric.collect


def _collect(registry: Any, order: Order) -> list[Metric]:
    found: dict[int, list[Metric]] = {}
    _run(order, found)
    with one_reading() as columns:
        return _gather(registry, order, found, _made_elsewhere(columns.values()))


def _run(order: Order, found: dict[int, list[Metric]]) -> None:
    """Collect from the collectors that run code, also within nested registries."""
    for collector, within in order:
        if within is not None:
            _run(within, found)
        elif not _is_read(collector):
            found[id(collector)] = list(collector.collect())


def _gather(registry: Any, order: Order, found: dict[int, list[Metric]], others: ByRegistry) -> list[Metric]:
    families = [registry._target_info_metric()] if registry._target_info else []
    for collector, within in order:
        if within is not None:
            families += _gather(collector, within, found, others)
        elif id(collector) in found:
            families += found[id(collector)]
        else:
            families += collector.collect()
    left = [
        family
        for column in others.get(shared_name(registry) or "", ())
        for family in _families.families_of(_families.without_worker(column), metrics._use_created)
    ]
    return families + [family for family in left if family.name not in registry._names_to_collectors]


def _made_elsewhere(columns: Iterable[Column]) -> ByRegistry:
    """The columns of metrics that only other workers have made, by the name of their registry.

    Those of the default registry come with everything else that the service measures.
    """
    named = [
        (name, column)
        for column in columns
        if (name := dict(column.table.stream.scope.attributes).get(REGISTRY_KEY)) is not None
    ]
    known = known_streams() if named else {}
    others: ByRegistry = {}
    for name, column in named:
        if column.table.stream not in known:
            others.setdefault(str(name), []).append(column)
    return others


class RestrictedRegistry(their_registry.RestrictedRegistry):
    """See `prometheus_client.registry.RestrictedRegistry`."""

    def collect(self) -> Iterator[Metric]:
        """Collect the samples of the chosen names; those in cells from one snapshot."""
        registry: Any = self._registry
        _service.current()
        with registry._lock:
            names = registry._names_to_collectors
            named = [names[name] for name in self._name_set if name in names]
            nameless = [each for each, its in registry._collector_to_names.items() if not its]
        order = [pair for pair in _in_order(registry) if pair[0] in (*named, *nameless)]
        for family in _collect(registry, order):
            restricted = family._restricted_metric(self._name_set)  # type: ignore[no-untyped-call]
            if restricted is not None:
                yield restricted


known_as(RestrictedRegistry, their_registry.RestrictedRegistry)


def _take_over(registry: Any) -> their_registry.CollectorRegistry:
    """Make the client's default registry a `SharedRegistry`; a second default one would split the metrics."""
    setattr(registry, NAME, "")
    _turn(registry)
    return registry  # type: ignore[no-any-return]


REGISTRY: their_registry.CollectorRegistry = _take_over(prometheus_client.REGISTRY)


def _after_fork_in_child() -> None:
    # A thread that does not exist here may have held a parent's lock.
    for registry in _registries.living():
        registry._lock = RLock()  # type: ignore[assignment]


forks.after_in_child(_after_fork_in_child)
