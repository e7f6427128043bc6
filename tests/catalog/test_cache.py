from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_obs.catalog import cache, update_cache_metrics
from tests.catalog.conftest import Service


@pytest.fixture(autouse=True)
def _a_new_cache() -> Iterator[None]:
    cache._totals = cache._Totals()
    yield
    cache._totals = cache._Totals()


def test_a_cache_is_shown_at_once(service: Service) -> None:
    update_cache_metrics(current_size=3, total_hits=9, total_misses=3, memory_bytes=2048)
    assert service.samples() == [
        "cache_hits_total 9.0",
        "cache_misses_total 3.0",
        "cache_size_current 3.0",
        "cache_memory_bytes 2048.0",
        "cache_hit_rate 0.75",
    ]


def test_a_cache_that_nobody_asked_yet_has_a_rate_of_0(service: Service) -> None:
    update_cache_metrics(0, 0, 0, 0)
    assert service.samples() == [
        "cache_hits_total 0.0",
        "cache_misses_total 0.0",
        "cache_size_current 0.0",
        "cache_memory_bytes 0.0",
        "cache_hit_rate 0.0",
    ]


def test_totals_are_counted_once(service: Service) -> None:
    for hits in range(1, 6):
        update_cache_metrics(1, hits, 1, 0)
    assert service.samples("cache_hits") == ["cache_hits_total 5.0"]
    assert service.samples("cache_misses") == ["cache_misses_total 1.0"]


def test_a_cleared_cache_counts_from_0(service: Service) -> None:
    update_cache_metrics(5, 10, 10, 0)
    update_cache_metrics(1, 2, 1, 0)
    update_cache_metrics(1, 3, 1, 0)
    assert service.samples("cache_hits") == ["cache_hits_total 13.0"]
    assert service.samples("cache_misses") == ["cache_misses_total 11.0"]


def test_totals_that_another_thread_overtook_are_not_counted_again(service: Service) -> None:
    update_cache_metrics(5, 11, 10, 0)
    update_cache_metrics(5, 10, 10, 0)
    update_cache_metrics(5, 12, 10, 0)
    assert service.samples("cache_hits") == ["cache_hits_total 12.0"]
    assert service.samples("cache_misses") == ["cache_misses_total 10.0"]


def test_totals_that_are_no_numbers_never_raise(service: Service) -> None:
    update_cache_metrics(1, None, 1, 0)  # type: ignore[arg-type]
    assert service.samples() == []
    assert service.provider.dropped == {"error": 1}
