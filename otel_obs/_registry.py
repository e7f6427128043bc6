"""Our metrics in `prometheus_client`'s registry, as soon as the application imports it."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_obs._pipeline import Pipeline

_STANDARD_COLLECTORS = ("PROCESS_COLLECTOR", "PLATFORM_COLLECTOR", "GC_COLLECTOR")


class Collector:
    """What `generate_latest(REGISTRY)`, `make_wsgi_app()` and `start_http_server()` show of ours.

    It takes the place of the collectors that speak of one process only, where the pipeline has the
    same families merged over workers.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = weakref.ref(pipeline)
        self._replaced: list[Any] = []

    def register(self) -> None:
        """Enter the default registry."""
        import prometheus_client

        pipeline = self._pipeline()
        if pipeline is None:
            return
        if pipeline.settings.runtime_metrics:
            for name in _STANDARD_COLLECTORS:
                self._replace(getattr(prometheus_client, name))
        prometheus_client.REGISTRY.register(self)

    def _replace(self, collector: Any) -> None:
        from prometheus_client import REGISTRY

        try:
            REGISTRY.unregister(collector)
        except KeyError:  # the application has taken it out itself
            return
        self._replaced.append(collector)

    def unregister(self) -> None:
        """Leave the default registry as it was."""
        from prometheus_client import REGISTRY

        try:
            REGISTRY.unregister(self)
        except KeyError:
            return
        for collector in self._replaced:
            REGISTRY.register(collector)

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

        taken = frozenset(getattr(REGISTRY, "_names_to_collectors", ()))
        for family in to_prometheus_client(pipeline.fresh_snapshot(), pipeline.options):
            if family.name not in taken and f"{family.name}_total" not in taken:
                yield family
