"""A cache of results, one in each worker; `cache.observe(cached.cache_info)` reads it at each collection."""

from __future__ import annotations

from _thread import RLock
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from otel_obs.catalog.kit.boundary import safely
from otel_obs.catalog.kit.functions import ask, ask_no_longer
from otel_obs.catalog.kit.kinds import CounterMetric
from otel_obs.catalog.kit.stated import StatedGauge
from otel_obs.host import forks

__all__ = [
    "cache_hit_rate",
    "cache_hits_total",
    "cache_memory_bytes",
    "cache_misses_total",
    "cache_size_current",
    "update_cache_metrics",
]

cache_hits_total = CounterMetric("cache_hits_total", "Total cache hits", unit="{hit}")
cache_misses_total = CounterMetric("cache_misses_total", "Total cache misses", unit="{miss}")
cache_hit_rate = StatedGauge(
    "cache_hit_rate", "Cache hit rate (0.0 to 1.0)", share=(cache_hits_total, cache_misses_total)
)
cache_size_current = StatedGauge(
    "cache_size_current", "Current number of cached items", unit="{item}", merge="mean"
)
cache_memory_bytes = StatedGauge(
    "cache_memory_bytes", "Memory used by the cache in bytes", unit="By", merge="sum"
)


class CacheInfo(Protocol):
    """The statistics that `functools.lru_cache` returns, and caches with the same interface."""

    @property
    def hits(self) -> int:
        """Hits since the cache was made or cleared."""

    @property
    def misses(self) -> int:
        """Misses since the cache was made or cleared."""

    @property
    def currsize(self) -> int:
        """Items in the cache."""


class _CacheTotals(NamedTuple):
    """The totals of a cache at the last look. A child keeps them, as its copy of the cache does."""

    hits: int = 0
    misses: int = 0


_totals = _CacheTotals()
_lock = RLock()


@safely(cache_hit_rate)
def update_cache_metrics(
    current_size: int, total_hits: int, total_misses: int, memory_bytes: int = 0
) -> None:
    """Show the statistics of a cache; the totals count since the cache was made or cleared.

    Totals that fall to less than half mean that the cache was cleared. Totals that fall by less were read
    before another thread's newer totals and arrive late; their lookups are counted already.

    Args:
        current_size: Items in the cache.
        total_hits: Hits since the cache was made.
        total_misses: Misses since the cache was made.
        memory_bytes: The size of the cache in bytes.
    """
    global _totals
    with _lock:
        _totals = _count(_totals, total_hits, total_misses)
    cache_size_current.set(current_size)
    cache_memory_bytes.set(memory_bytes)
    # Over several workers a scrape computes the share from the counters; this value serves a single process.
    lookups = total_hits + total_misses
    cache_hit_rate.set(total_hits / lookups if lookups else 0.0)


def _count(known: _CacheTotals, total_hits: int, total_misses: int) -> _CacheTotals:
    """Count what one cache's totals grew by since *known*; return the totals to compare with next time."""
    before = known if 2 * (total_hits + total_misses) >= sum(known) else _CacheTotals()
    after = _CacheTotals(max(total_hits, before.hits), max(total_misses, before.misses))
    hits, misses = after.hits - before.hits, after.misses - before.misses
    # Adding 0 at the first call makes the series visible; later, an addition of 0 is skipped.
    if hits or not before.hits:
        cache_hits_total.add(hits)
    if misses or not before.misses:
        cache_misses_total.add(misses)
    return after


def observe(cache_info: Callable[[], CacheInfo], memory_bytes: Callable[[], float] | None = None) -> None:
    """Keep the metrics up to date without further calls: each worker reads its own cache at every collection.

    ```python
    from functools import lru_cache
    from otel_obs.catalog import cache


    @lru_cache(maxsize=1000)
    def embed(text: str) -> tuple[float, ...]: ...


    cache.observe(embed.cache_info)
    ```

    Several caches are shown as one: their hits, misses, sizes and bytes are added up. A cache that is
    observed is not to be given to `update_cache_metrics` too, or its hits are counted twice.

    Args:
        cache_info: Returns the statistics of the cache, as `functools.lru_cache` does: `hits`, `misses` and
            `currsize`, as attributes or as the keys of a mapping.
        memory_bytes: Returns how many bytes the cache holds; if no cache has it, the family is not shown.
    """
    if cache_info not in _caches:
        _caches[cache_info] = cache = _Cache(cache_info, memory_bytes)
        ask("cache_size_current", cache)


def unobserve(cache_info: Callable[[], CacheInfo]) -> None:
    """Stop reading a cache; its hits and misses stay counted."""
    cache = _caches.pop(cache_info, None)
    if cache is not None:
        ask_no_longer(cache)
        _show_caches()


class _Cache:
    """One observed cache, with its values at the last look."""

    def __init__(self, cache_info: Callable[[], CacheInfo], memory_bytes: Callable[[], float] | None) -> None:
        self._info, self._memory_bytes = cache_info, memory_bytes
        self.totals = _CacheTotals()
        self.size: int | None = None
        self.memory: float | None = None

    def compute(self) -> None:
        """Read the cache, count its new hits and misses, and show the sum over all observed caches."""
        info: Any = self._info()
        if isinstance(info, Mapping):
            hits, misses, size = (int(info[key]) for key in ("hits", "misses", "currsize"))
        else:
            hits, misses, size = int(info.hits), int(info.misses), int(info.currsize)
        self.memory = None if self._memory_bytes is None else float(self._memory_bytes())
        self.totals, self.size = _count(self.totals, hits, misses), size
        _show_caches()

    def hide(self) -> None:
        """Show the other caches without this one."""
        self.size = self.memory = None
        _show_caches()
        if all(each.size is None for each in _caches.values()):
            cache_size_current.remove()
        if all(each.memory is None for each in _caches.values()):
            cache_memory_bytes.remove()


_caches: dict[Callable[[], CacheInfo], _Cache] = {}


def _show_caches() -> None:
    """Show all observed caches as one: sums of their sizes, bytes, hits and misses."""
    caches = list(_caches.values())
    sizes = [each.size for each in caches if each.size is not None]
    if sizes:
        cache_size_current.set(sum(sizes))
    known = [each.memory for each in caches if each.memory is not None]
    if known:
        cache_memory_bytes.set(sum(known))
    hits, misses = (sum(each.totals[at] for each in caches) for at in (0, 1))
    cache_hit_rate.set(hits / (hits + misses) if hits + misses else 0.0)


def _after_fork_in_child() -> None:
    global _lock
    _lock = RLock()  # another thread of the parent may have held the old lock during the fork


forks.after_in_child(_after_fork_in_child)
