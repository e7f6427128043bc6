"""Collectors of the default registry that run code of others: each is asked by itself, and none for long."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from otel_obs.exposition.from_client import IS_OURS
from otel_obs.exposition.plan import warn_once
from otel_obs.host.signals import raise_interruption

CLIENT_SCOPE = "otel_obs.prometheus"
"""The package, and the scope of the metrics that are made with it."""

_STANDARD = ("ProcessCollector", "PlatformCollector", "GCCollector")
"""Those of `prometheus_client` itself, which do not hang."""


class AskedCollector:
    """A collector of somebody else's, and what it yielded last.

    Args:
        collector: What is registered.
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
        """Whether it is known not to hang."""
        kind = type(self.collector)
        return kind.__name__ in _STANDARD and kind.__module__.startswith("prometheus_client.")

    def refresh(self) -> None:
        """Ask it. What it has yielded before it raises is kept."""
        began_s = time.monotonic()
        self.families = list(self._yielded())
        self.observed_s = began_s

    def leave_out(self) -> None:
        """Show nothing of it until it has returned."""
        self.families = []

    def _yielded(self) -> Iterator[Any]:
        try:
            yield from self.collector.collect()
        except Exception as error:
            raise_interruption(error)
            warn_once(
                f"the collector {self.collector!r} of prometheus_client raised {error!r}; "
                "what it had not yielded is not exposed",
                ("collector", id(self.collector)),
            )


class ClientCollectors:
    """All of them, as one pipeline asks them.

    Args:
        refresh: Refreshes several beside each other, and gives up waiting for what hangs.
    """

    def __init__(self, refresh: Callable[[Sequence[AskedCollector]], None]) -> None:
        self._refresh = refresh
        self._asked: dict[int, AskedCollector] = {}

    def families(self) -> list[Any]:
        """The families of every other collector of the default registry.

        They are asked before the cells are read, since they may set metrics that lie there.
        """
        from prometheus_client import REGISTRY

        is_read = _reading_check()
        with REGISTRY._lock:
            collectors = list(REGISTRY._collector_to_names)
        before = self._asked
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
    """How to tell a metric that says only what lies in the cells, which a snapshot has too."""
    if CLIENT_SCOPE not in sys.modules:
        return lambda collector: False
    from otel_obs.prometheus import _exposition

    return _exposition.is_metric
