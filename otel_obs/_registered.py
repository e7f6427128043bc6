"""What an application has defined by the API of `prometheus_client`, beside what is measured for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from otel_obs.exposition.foreign import IS_OURS
from otel_obs.exposition.plan import warn_once
from otel_obs.host.interruptions import raise_interruption

if TYPE_CHECKING:
    from otel_obs.cells.snapshot import Snapshot

CLIENT_SCOPE = "otel_obs.prometheus"
"""The package, and the scope of the metrics that are made with it."""


def divide(snapshot: Snapshot) -> tuple[Snapshot, list[Any]]:
    """Take out of *snapshot* what `otel_obs.prometheus` has in it and encoders would write otherwise.

    Returns:
        What is left, and the families of what is not and yet is to be exposed.
    """
    scopes = (column.table.stream.scope.name for column in snapshot.columns)
    if CLIENT_SCOPE not in sys.modules and CLIENT_SCOPE not in scopes:
        return snapshot, []
    from otel_obs.prometheus import _exposition

    return _exposition.divide(snapshot)


def registered() -> list[Any]:
    """The families of every other collector of the default registry: what runs code of others.

    They are asked before the cells are read, since they may set metrics that lie there.
    """
    from prometheus_client import REGISTRY

    is_read = _reading_check()
    with REGISTRY._lock:
        collectors = list(REGISTRY._collector_to_names)
    return [
        family
        for collector in collectors
        if not (getattr(collector, IS_OURS, False) or is_read(collector))
        for family in _families(collector)
    ]


def stated_facts() -> dict[str, str]:
    """What the application has told the default registry about itself, which is in `target_info`."""
    client = sys.modules.get("prometheus_client")
    facts: dict[str, str] | None = client.REGISTRY.get_target_info() if client is not None else None
    return facts or {}


def _families(collector: Any) -> Iterator[Any]:
    """What *collector* yields; one that raises takes no other with it."""
    try:
        yield from collector.collect()
    except Exception as error:
        raise_interruption(error)
        warn_once(
            f"the collector {collector!r} of prometheus_client raised {error!r}; "
            "what it had not yielded is not exposed",
            ("collector", id(collector)),
        )


def _reading_check() -> Callable[[object], bool]:
    """How to tell a metric that says only what lies in the cells, which a snapshot has too."""
    if CLIENT_SCOPE not in sys.modules:
        return lambda collector: False
    from otel_obs.prometheus import _exposition

    return _exposition.is_metric
