"""A cache of results; each worker has its own."""

from __future__ import annotations

from _thread import RLock
from typing import NamedTuple

from otel_obs.catalog.boundary import safely
from otel_obs.catalog.instruments import Counter, Gauge
from otel_obs.host import forks

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
cache_hit_rate = Gauge(
    "cache_hit_rate", "Cache hit rate (0.0 to 1.0)", share=(cache_hits_total, cache_misses_total)
)
cache_size_current = Gauge(
    "cache_size_current", "Current number of cached items", unit="{item}", merge="mean"
)
cache_memory_bytes = Gauge("cache_memory_bytes", "Memory used by the cache in bytes", unit="By", merge="sum")


class _Totals(NamedTuple):
    """What the cache said last; a child's copy of the cache goes on from there, and so does this."""

    hits: int = 0
    misses: int = 0


_totals = _Totals()
_lock = RLock()


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
    global _totals
    lookups = total_hits + total_misses
    with _lock:
        before = _totals if 2 * lookups >= sum(_totals) else _Totals()
        _totals = _Totals(max(total_hits, before.hits), max(total_misses, before.misses))
        hits, misses = _totals.hits - before.hits, _totals.misses - before.misses
    # A total of 0 is shown as well; later on, adding nothing is saved.
    if hits or not before.hits:
        cache_hits_total.add(hits)
    if misses or not before.misses:
        cache_misses_total.add(misses)
    cache_size_current.set(current_size)
    cache_memory_bytes.set(memory_bytes)
    # Over workers the share is made from the counters; this is what one process alone can say.
    cache_hit_rate.set(total_hits / lookups if lookups else 0.0)


def _after_fork_in_child() -> None:
    global _lock
    _lock = RLock()


forks.after_in_child(_after_fork_in_child)
