"""When `prometheus_client` is stood in for: as the application imports it, before its first metric."""

from __future__ import annotations

import sys
from collections.abc import Callable

from otel_obs.host.imports import when_imported


def stand_in_when_imported(undo_later: Callable[[Callable[[], object]], object]) -> None:
    """Have what is counted with `prometheus_client` be added up over all workers.

    Args:
        undo_later: Gets what leaves alone what is made from then on.
    """
    undo_later(_stand_aside)
    undo_later(when_imported("prometheus_client", _stand_in))


def _stand_in(_: object) -> None:
    from otel_obs import prometheus

    prometheus.stand_in()


def _stand_aside() -> None:
    ours = sys.modules.get("otel_obs.prometheus")
    if ours is not None:
        ours.stand_aside()
