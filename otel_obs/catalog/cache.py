"""A cache of results; each worker has its own."""

from __future__ import annotations

import os
import threading
from typing import NamedTuple

from otel_obs.catalog.boundary import safely
from otel_obs.catalog.instruments import Counter, ObservableGauge

__all__ = [
    "cache_hit_rate",
    "cache_hits_total",
    "cache_memory_bytes",
    "cache_misses_total",
    "cache_size_current",
    "update_cache_metrics",
]

cache_hits_total = Counter("cache_hits_total", "Total cache hits", unit="{hit}")
cache_misses_total = Counter("cache_misses_total", "Total cache misses", unit="{miss}")
cache_hit_rate = ObservableGauge(
    "cache_hit_rate", "Cache hit rate (0.0 to 1.0)", share=(cache_hits_total, cache_misses_total)
)
cache_size_current = ObservableGauge(
    "cache_size_current", "Current number of cached items", unit="{item}", merge="mean"
)
cache_memory_bytes = ObservableGauge(
    "cache_memory_bytes", "Memory used by the cache in bytes", unit="By", merge="sum"
)


class _State(NamedTuple):
    """What the cache said last."""

    size: int
    hits: int
    misses: int
    memory_bytes: int

    @property
    def lookups(self) -> int:
        """How often the cache was asked."""
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float:
        """0 to 1."""
        return self.hits / self.lookups if self.lookups else 0.0


_state: _State | None = None
_lock = threading.Lock()


@safely(cache_hit_rate)
def update_cache_metrics(
    current_size: int, total_hits: int, total_misses: int, memory_bytes: int = 0
) -> None:
    """Show what a cache says of itself; the totals count since the cache was made or cleared.

    Totals that fall to less than half are those of a cache that was cleared. Totals that fall less were
    read before those of another thread that came first, and are counted already.

    Args:
        current_size: Items in the cache.
        total_hits: Hits since the cache was made.
        total_misses: Misses since the cache was made.
        memory_bytes: What the cache holds, in bytes.
    """
    global _state
    with _lock:
        before = _state or _State(0, 0, 0, 0)
        now = _State(current_size, total_hits, total_misses, memory_bytes)
        if 2 * now.lookups < before.lookups:
            before = _State(0, 0, 0, 0)
        new_hits, new_misses = max(now.hits - before.hits, 0), max(now.misses - before.misses, 0)
        _state = now._replace(hits=before.hits + new_hits, misses=before.misses + new_misses)
    cache_hits_total.add(new_hits)
    cache_misses_total.add(new_misses)
    for gauge in (cache_hit_rate, cache_size_current, cache_memory_bytes):
        gauge.refresh()


cache_hit_rate.observe(lambda: [(_state.hit_rate, {})] if _state else [])
cache_size_current.observe(lambda: [(_state.size, {})] if _state else [])
cache_memory_bytes.observe(lambda: [(_state.memory_bytes, {})] if _state else [])


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
