"""What an application has defined by the API of `prometheus_client`, beside what is measured for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from otel_obs.exposition.plan import warn_once
from otel_obs.host.interruptions import raise_interruption

if TYPE_CHECKING:
    from otel_obs.cells.snapshot import Snapshot

IS_OURS = "is_from_otel_obs"
"""The attribute of a collector of ours, which says nothing that a snapshot has not."""

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


def registered() -> Iterator[Any]:
    """The families of every other collector of the default registry."""
    from prometheus_client import REGISTRY

    if REGISTRY.get_target_info():
        yield REGISTRY._target_info_metric()  # type: ignore[no-untyped-call]
    is_metric = _metric_check()
    for collector in list(REGISTRY._collector_to_names):
        if not (getattr(collector, IS_OURS, False) or is_metric(collector)):
            yield from _families(collector)


def _families(collector: Any) -> Iterator[Any]:
    """What *collector* yields; one that raises takes no other with it."""
    try:
        yield from collector.collect()
    except Exception as error:
        raise_interruption(error)
        warn_once(
            f"the collector {collector!r} of prometheus_client raised {error!r}; "
            "what it had not yielded is not exposed"
        )


def _metric_check() -> Callable[[object], bool]:
    """How to tell a metric of `otel_obs.prometheus`, which a snapshot has too."""
    if CLIENT_SCOPE not in sys.modules:
        return lambda collector: False
    from otel_obs.prometheus import _exposition

    return _exposition.is_metric
