from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import ObservableGauge
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import DropAggregation

from otel_obs.catalog import cache, cache_memory_bytes, cache_size_current, update_cache_metrics
from otel_obs.catalog.kit import early
from otel_obs.catalog.kit.metric import install, uninstall
from otel_obs.catalog.kit.naming import Naming
from tests.catalog.conftest import Service


@pytest.fixture(autouse=True)
def _a_new_cache() -> Iterator[None]:
    cache._totals = cache._CacheTotals()
    yield
    cache._totals = cache._CacheTotals()


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


def test_the_gauges_are_observable_and_a_reader_asks_for_what_was_said_last(service: Service) -> None:
    reader = InMemoryMetricReader(preferred_aggregation={ObservableGauge: DropAggregation()})
    other = InMemoryMetricReader()
    service.provider.add_metric_reader(reader)
    service.provider.add_metric_reader(other)
    update_cache_metrics(3, 9, 3, 2048)
    update_cache_metrics(4, 10, 3, 4096)
    assert values(other) == {
        "cache_hits": 10,
        "cache_misses": 3,
        "cache_size_current": 4,
        "cache_memory": 4096,
        "cache_hit_rate": 10 / 13,
    }
    assert values(reader) == {"cache_hits": 10, "cache_misses": 3}
    assert isinstance(cache_size_current._instrument(), metrics.ObservableGauge)


def values(reader: InMemoryMetricReader) -> dict[str, float]:
    data: Any = reader.get_metrics_data()
    return {
        metric.name: next(iter(metric.data.data_points)).value
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
    }


def test_the_gauges_can_still_be_set_in_every_manner(service: Service) -> None:
    cache_size_current.set(3)
    cache_size_current.inc(2)
    cache_size_current.labels().dec()
    cache_memory_bytes.bind().set(7)
    assert service.samples() == ["cache_size_current 4.0", "cache_memory_bytes 7.0"]
    cache_memory_bytes.remove()
    assert service.samples() == ["cache_size_current 4.0"]
    cache_size_current.set(float("nan"))
    cache_size_current.set("many")  # type: ignore[arg-type]
    cache_size_current.set(1, {"color": "red"})
    assert service.samples() == ["cache_size_current 4.0"]
    assert service.provider.dropped == {"not_finite": 1, "not_a_number": 1, "attributes": 1}
    cache_size_current.set_function(lambda: 9)
    try:
        service.provider.refresh_observables()
        assert service.samples() == ["cache_size_current 9.0"]
    finally:
        cache_size_current.bind()._function = None


def test_what_is_said_before_the_set_up_is_held(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall()
    monkeypatch.setattr(early._Early, "is_over", False)
    monkeypatch.setattr(early._Early, "is_armed", False)  # as it is where nobody has imported what exposes
    cache_size_current.set(5)
    cache_size_current.labels().inc(2)
    install(service.provider, Naming())
    assert service.samples() == ["cache_size_current 7.0"]


def test_an_observed_cache_needs_nobody_to_call(service: Service) -> None:
    @lru_cache(maxsize=2)
    def square(number: int) -> int:
        return number * number

    other = {"hits": 3, "misses": 1, "currsize": 4}

    def said() -> dict[str, int]:
        return other

    cache.observe(square.cache_info)
    cache.observe(said, memory_bytes=lambda: 100)  # type: ignore[arg-type]
    cache.observe(square.cache_info)
    try:
        for number in 1, 2, 1, 3, 3, 3:
            square(number)
        service.provider.refresh_observables()
        expected = [
            "cache_hits_total 6.0",
            "cache_misses_total 4.0",
            "cache_size_current 6.0",
            "cache_memory_bytes 100.0",
            "cache_hit_rate 0.6",
        ]
        assert sorted(service.samples()) == sorted(expected)
        square.cache_clear()
        square(1)
        service.provider.refresh_observables()
        assert service.samples("cache_misses") == ["cache_misses_total 5.0"]
        assert service.samples("cache_size") == ["cache_size_current 5.0"]
        other.clear()  # it fails from now on, and takes no other with it
        square(1)
        service.provider.refresh_observables()
        assert service.samples("cache_hits") == ["cache_hits_total 7.0"]
    finally:
        cache.unobserve(square.cache_info)
        cache.unobserve(said)  # type: ignore[arg-type]
    square(1)
    service.provider.refresh_observables()
    assert service.samples("cache_hits") == ["cache_hits_total 7.0"]
