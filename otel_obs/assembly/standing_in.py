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
    # Not the name of the package: its own import may be what imports the client, and it is not complete then.
    from otel_obs.prometheus._standing_in import stand_in

    stand_in()


def _stand_aside() -> None:
    ours = sys.modules.get("otel_obs.prometheus._standing_in")
    if ours is not None:
        ours.stand_aside()
