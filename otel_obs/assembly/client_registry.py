"""The default registry of `prometheus_client`: the application's entries in it, and ours."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from otel_obs.assembly.client_collectors import CLIENT_SCOPE
from otel_obs.exposition.from_client import IS_OURS

if TYPE_CHECKING:
    from otel_obs.assembly.pipeline import Pipeline
    from otel_obs.cells.snapshot import Snapshot


def divide(snapshot: Snapshot) -> tuple[Snapshot, list[Any]]:
    """Split off the metrics of `otel_obs.prometheus` that the encoders would not write as the client does.

    Returns:
        The rest of *snapshot*, and the families of the metrics that were split off and are to be exposed.
    """
    scopes = (column.table.stream.scope.name for column in snapshot.columns)
    if CLIENT_SCOPE not in sys.modules and CLIENT_SCOPE not in scopes:
        return snapshot, []
    from otel_obs.prometheus import _exposition

    return _exposition.split_off(snapshot)


def stated_facts() -> dict[str, str]:
    """The labels that the application has given the default registry for `target_info`."""
    client = sys.modules.get("prometheus_client")
    facts: dict[str, str] | None = client.REGISTRY.get_target_info() if client is not None else None
    return facts or {}


_STANDARD_COLLECTORS = {
    "PROCESS_COLLECTOR": "process_",
    "PLATFORM_COLLECTOR": "python_info",
    "GC_COLLECTOR": "python_gc_",
}
"""The collectors of `prometheus_client` that cover one process only, and the prefix of their families."""


class _Silent:
    """Replaces a collector in the default registry, and yields nothing.

    It equals and hashes like the collector, so that `REGISTRY.unregister(PROCESS_COLLECTOR)` of an
    application still finds it.
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
    """Replace *old* by *new* in the default registry; false where *old* is not registered."""
    from prometheus_client import REGISTRY

    # In one step under the lock: a scrape on another thread must see one of the two.
    with REGISTRY._lock:
        if old not in REGISTRY._collector_to_names:
            return False
        names = REGISTRY._collector_to_names.pop(old)
        REGISTRY._collector_to_names[new] = names
        REGISTRY._names_to_collectors.update(dict.fromkeys(names, new))
        return True


class MergedCollector:
    """Our metrics for `generate_latest(REGISTRY)`, `make_wsgi_app()` and `start_http_server()`.

    It replaces the collectors that cover one process only, where the pipeline has the same families merged
    over workers, and the collectors of readers that show the same provider.
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
                self._silence(getattr(prometheus_client, name))
            pipeline.is_taken_out = _is_taken_out
        prometheus_client.REGISTRY.register(self)
        self._silence_readers(pipeline)

    def _silence(self, collector: Any) -> None:
        silent = _Silent(collector)
        if _exchange(collector, silent):
            self._silenced.append(silent)

    def _silence_readers(self, pipeline: Pipeline) -> None:
        """Replace the collectors of the provider's own readers, which would yield each family twice."""
        for reader in pipeline.provider.readers():
            collector = getattr(reader, "_collector", None)
            if collector is not None and collector not in [each.collector for each in self._silenced]:
                self._silence(collector)
                say = getattr(collector, "say_what_is_in_vain", None)
                if say is not None:
                    say()

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
        """Claim no names: if the application defines a family of the same name, its own is exposed."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield our families, merged over workers, except those that the application defines itself."""
        pipeline = self._pipeline()
        if pipeline is None:
            return
        from prometheus_client import REGISTRY

        from otel_obs.exposition.names import family_name
        from otel_obs.exposition.plan import warn_of_owner
        from otel_obs.exposition.to_client import to_prometheus_client

        self._silence_readers(pipeline)  # again: a reader may have been registered after us
        names = REGISTRY._names_to_collectors
        taken = {name for name, collector in list(names.items()) if not isinstance(collector, _Silent)}
        if stated_facts():
            taken.add("target")
        snapshot, families = pipeline.divided()
        own = {
            family_name(column.table.stream).removesuffix("_total")
            for column in snapshot.columns
            if column.table.stream.scope.name != CLIENT_SCOPE
        }
        for family in chain(
            to_prometheus_client(snapshot, pipeline.options, client_writes_created()), families
        ):
            if family.name not in taken and f"{family.name}_total" not in taken:
                yield family
            elif family.name in own:
                warn_of_owner(f"{family.name}_total" if family.type == "counter" else family.name)


def client_writes_created() -> bool:
    """Whether `prometheus_client` is set to write `_created` samples."""
    from prometheus_client import metrics

    return metrics._use_created


def _is_taken_out(name: str) -> bool:
    """Whether the application has unregistered the collector that yields the family *name*."""
    import prometheus_client

    registered = prometheus_client.REGISTRY._collector_to_names
    return any(
        name.startswith(beginning) and getattr(prometheus_client, collector) not in registered
        for collector, beginning in _STANDARD_COLLECTORS.items()
    )
