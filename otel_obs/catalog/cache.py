"""A cache of results; each worker has its own. `cache.observe(cached.cache_info)` asks it at each reading."""

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
    """What `functools.lru_cache` says of itself, and caches that are made like it."""

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
    """What a cache said last; a child's copy of the cache goes on from there, and so does this."""

    hits: int = 0
    misses: int = 0


_totals = _CacheTotals()
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
    with _lock:
        _totals = _count(_totals, total_hits, total_misses)
    cache_size_current.set(current_size)
    cache_memory_bytes.set(memory_bytes)
    # Over workers the share is made from the counters; this is what one process alone can say.
    lookups = total_hits + total_misses
    cache_hit_rate.set(total_hits / lookups if lookups else 0.0)


def _count(known: _CacheTotals, total_hits: int, total_misses: int) -> _CacheTotals:
    """Count what is new in the totals of one cache, and know it from now on."""
    before = known if 2 * (total_hits + total_misses) >= sum(known) else _CacheTotals()
    after = _CacheTotals(max(total_hits, before.hits), max(total_misses, before.misses))
    hits, misses = after.hits - before.hits, after.misses - before.misses
    # A total of 0 is shown as well; later on, adding nothing is saved.
    if hits or not before.hits:
        cache_hits_total.add(hits)
    if misses or not before.misses:
        cache_misses_total.add(misses)
    return after


def observe(cache_info: Callable[[], CacheInfo], memory_bytes: Callable[[], float] | None = None) -> None:
    """Have the metrics be true without anybody's call: each worker asks its own cache before every reading.

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
        cache_info: Says what `functools.lru_cache` says: `hits`, `misses` and `currsize`, as attributes or as
            the keys of a mapping.
        memory_bytes: Says how many bytes the cache holds; where no cache says it, nothing is shown of it.
    """
    if cache_info not in _caches:
        _caches[cache_info] = cache = _Cache(cache_info, memory_bytes)
        ask("cache_size_current", cache)


def unobserve(cache_info: Callable[[], CacheInfo]) -> None:
    """Ask a cache no longer; what it has counted stays counted."""
    cache = _caches.pop(cache_info, None)
    if cache is not None:
        ask_no_longer(cache)
        _show_caches()


class _Cache:
    """One cache that is asked."""

    def __init__(self, cache_info: Callable[[], CacheInfo], memory_bytes: Callable[[], float] | None) -> None:
        self._info, self._memory_bytes = cache_info, memory_bytes
        self.totals = _CacheTotals()
        self.size: int | None = None
        self.memory: float | None = None

    def compute(self) -> None:
        """Ask the cache, count what is new, and show it with all others."""
        info: Any = self._info()
        if isinstance(info, Mapping):
            hits, misses, size = (int(info[key]) for key in ("hits", "misses", "currsize"))
        else:
            hits, misses, size = int(info.hits), int(info.misses), int(info.currsize)
        self.memory = None if self._memory_bytes is None else float(self._memory_bytes())
        self.totals, self.size = _count(self.totals, hits, misses), size
        _show_caches()

    def hide(self) -> None:
        """Let the others be shown without this one."""
        self.size = self.memory = None
        _show_caches()
        if all(each.size is None for each in _caches.values()):
            cache_size_current.remove()
        if all(each.memory is None for each in _caches.values()):
            cache_memory_bytes.remove()


_caches: dict[Callable[[], CacheInfo], _Cache] = {}


def _show_caches() -> None:
    """Show all caches that are asked as one."""
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
    _lock = RLock()


forks.after_in_child(_after_fork_in_child)
