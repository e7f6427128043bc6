"""The application's own collectors in `prometheus_client`'s default registry.

Each is collected on its own and with a time limit, so that a slow one cannot hold up a scrape.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from otel_obs.exposition.from_client import IS_OURS, yielded_by

CLIENT_SCOPE = "otel_obs.prometheus"
"""The package that stands in for `prometheus_client`, and the scope of the metrics made with it."""

_STANDARD = ("ProcessCollector", "PlatformCollector", "GCCollector")
"""The collectors of `prometheus_client` itself, which do not block."""


class AskedCollector:
    """A collector of the application, and the families that it yielded last.

    Args:
        collector: The registered collector.
    """

    def __init__(self, collector: Any) -> None:
        self.collector = collector
        self.families: list[Any] = []
        self.observed_s = -math.inf
        self.name = type(collector).__qualname__

    def __repr__(self) -> str:
        return f"the collector {self.collector!r} of prometheus_client"

    @property
    def is_ours(self) -> bool:
        """Whether it is known not to block, and needs no time limit."""
        kind = type(self.collector)
        return kind.__name__ in _STANDARD and kind.__module__.startswith("prometheus_client.")

    def refresh(self) -> None:
        """Collect. The families that it yields before it raises are kept."""
        began_s = time.monotonic()
        # Assigned whole: a scrape that has stopped waiting exposes the earlier list meanwhile.
        self.families = list(yielded_by(self.collector))
        self.observed_s = began_s

    def leave_out(self) -> None:
        """Expose none of its families until its `collect` has returned."""
        self.families = []


class ClientCollectors:
    """All such collectors, as one pipeline collects them.

    Args:
        refresh: Refreshes several concurrently, and stops waiting for those that block.
    """

    def __init__(self, refresh: Callable[[Sequence[AskedCollector]], None]) -> None:
        self._refresh = refresh
        self._asked: dict[int, AskedCollector] = {}

    def families(self) -> list[Any]:
        """Return the families of every collector of the default registry that is not ours.

        Call it before the cells are read: a collector may set metrics that are stored there.
        """
        from prometheus_client import REGISTRY

        is_read = _reading_check()
        # Only a copy under the registry's lock: a collector may register metrics while it is collected.
        with REGISTRY._lock:
            collectors = list(REGISTRY._collector_to_names)
        before = self._asked  # kept across scrapes, so that one that still blocks is not started again
        every = [
            known
            if (known := before.get(id(each))) is not None and known.collector is each
            else AskedCollector(each)
            for each in collectors
            if not (getattr(each, IS_OURS, False) or is_read(each))
        ]
        self._asked = {id(each.collector): each for each in every}
        self._refresh(every)
        return [family for each in every for family in each.families]


def _reading_check() -> Callable[[object], bool]:
    """Return the test for metrics of `otel_obs.prometheus`: the snapshot of the cells has them already."""
    if CLIENT_SCOPE not in sys.modules:
        return lambda collector: False
    from otel_obs.prometheus import _exposition

    return _exposition.is_metric
