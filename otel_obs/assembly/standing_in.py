"""Replaces the metrics of `prometheus_client` by ours when it is imported, before its first metric."""

from __future__ import annotations

import sys
from collections.abc import Callable

from otel_obs.host.imports import when_imported


def stand_in_when_imported(undo_later: Callable[[Callable[[], object]], object]) -> None:
    """Merge metrics that are made with `prometheus_client` over all workers.

    Args:
        undo_later: Called with the undoing: metrics made after it are the client's own again.
    """
    undo_later(_stand_aside)
    undo_later(when_imported("prometheus_client", _stand_in))


def _stand_in(_: object) -> None:
    # The submodule, not `otel_obs.prometheus`: that imports the client, and may be half imported here.
    from otel_obs.prometheus._standing_in import stand_in

    stand_in()


def _stand_aside() -> None:
    ours = sys.modules.get("otel_obs.prometheus._standing_in")
    if ours is not None:
        ours.stand_aside()
