"""Our metrics in `prometheus_client`'s registry, as soon as the application imports it."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from otel_obs._registered import IS_OURS, divide

if TYPE_CHECKING:
    from otel_obs._pipeline import Pipeline

_STANDARD_COLLECTORS = ("PROCESS_COLLECTOR", "PLATFORM_COLLECTOR", "GC_COLLECTOR")


class _Silent:
    """Stands for a collector in the default registry, and says nothing.

    It equals the collector, since applications take those of `prometheus_client` out by their names.
    """

    def __init__(self, collector: Any) -> None:
        self.collector = collector

    def __eq__(self, other: object) -> bool:
        return other is self.collector or other is self

    def __hash__(self) -> int:
        return hash(self.collector)

    def collect(self) -> list[Any]:
        """Nothing."""
        return []


def _exchange(old: Any, new: Any) -> bool:
    """Put *new* in the place of *old* in the default registry, if that is there."""
    from prometheus_client import REGISTRY

    with REGISTRY._lock:
        if old not in REGISTRY._collector_to_names:
            return False
        names = REGISTRY._collector_to_names.pop(old)
        REGISTRY._collector_to_names[new] = names
        REGISTRY._names_to_collectors.update(dict.fromkeys(names, new))
        return True


class Collector:
    """What `generate_latest(REGISTRY)`, `make_wsgi_app()` and `start_http_server()` show of ours.

    It takes the place of the collectors that speak of one process only, where the pipeline has the
    same families merged over workers.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        setattr(self, IS_OURS, True)
        self._pipeline = weakref.ref(pipeline)
        self._silenced: list[_Silent] = []

    def register(self) -> None:
        """Enter the default registry."""
        import prometheus_client

        pipeline = self._pipeline()
        if pipeline is None:
            return
        if pipeline.settings.runtime_metrics:
            for name in _STANDARD_COLLECTORS:
                silent = _Silent(getattr(prometheus_client, name))
                if _exchange(silent.collector, silent):
                    self._silenced.append(silent)
        prometheus_client.REGISTRY.register(self)

    def unregister(self) -> None:
        """Leave the default registry as it was."""
        from prometheus_client import REGISTRY

        while self._silenced:
            silent = self._silenced.pop()
            _exchange(silent, silent.collector)
        try:
            REGISTRY.unregister(self)
        except KeyError:
            return

    def describe(self) -> list[Any]:
        """No names are claimed: an application's own definition of one wins."""
        return []

    def collect(self) -> Iterator[Any]:
        """Every family of ours, merged over workers, but for those that the application defines itself."""
        pipeline = self._pipeline()
        if pipeline is None:
            return
        from prometheus_client import REGISTRY

        from otel_obs.exposition.families import to_prometheus_client

        names = REGISTRY._names_to_collectors
        taken = {name for name, collector in list(names.items()) if not isinstance(collector, _Silent)}
        snapshot, families = divide(pipeline.fresh_snapshot())
        for family in chain(to_prometheus_client(snapshot, pipeline.options), families):
            if family.name not in taken and f"{family.name}_total" not in taken:
                yield family
