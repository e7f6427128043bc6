"""An instrument of many callbacks costs what its callbacks cost, and no square of their number."""

from __future__ import annotations

from threading import Event, Thread
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation

from otel_obs.cells.view import MergedView
from otel_obs.sdk import MeterProvider, ObservableGauge, observables

MANY = 50


def test_what_many_callbacks_return_is_published_once(monkeypatch: pytest.MonkeyPatch) -> None:
    published = []
    publish = ObservableGauge._publish

    def counting(self: Any, aggregator: Any, totals: Any, number: Any) -> None:
        published.append(len(totals))
        publish(self, aggregator, totals, number)

    monkeypatch.setattr(ObservableGauge, "_publish", counting)
    provider = MeterProvider(shutdown_on_exit=False)

    def callback(number: int) -> Any:
        return lambda options: [Observation(number, {"number": str(number)})]

    provider.get_meter("m").create_observable_gauge("g", [callback(number) for number in range(MANY)])
    for _ in range(2):
        provider.refresh_observables()
    assert published == [MANY] * 2
    (column,) = MergedView(provider.worker).snapshot().columns
    assert sorted(column.values) == list(range(MANY))


def test_a_callback_that_is_added_or_taken_away_changes_no_other() -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    meter: Any = provider.get_meter("m")

    def first(options: CallbackOptions) -> list[Observation]:
        return [Observation(1, {"by": "first"})]

    def second(options: CallbackOptions) -> list[Observation]:
        return [Observation(2, {"by": "second"})]

    gauge = meter.create_observable_gauge("g", [first])

    def values() -> list[Any]:
        provider.refresh_observables(older_than_s=60.0)
        (column,) = MergedView(provider.worker).snapshot().columns
        return sorted(column.values)

    assert values() == [1]
    gauge.ask(second)
    assert values() == [1, 2]
    gauge.ask_no_longer(first)
    assert values() == [2]


def test_who_has_read_earlier_does_not_publish_over_who_has_read_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    fresh = iter(range(100))
    callbacks = [lambda options: [Observation(next(fresh), {"by": "a"})], lambda options: []]
    gauge: Any = provider.get_meter("m").create_observable_gauge("g", callbacks)
    known = ObservableGauge._known
    others = [gauge.refresh]

    def reading(self: Any) -> Any:
        read = known(self)
        while others:  # another thread does all of its refresh now
            others.pop()()
        return read

    monkeypatch.setattr(ObservableGauge, "_known", reading)
    provider.refresh_observables()
    (column,) = MergedView(provider.worker).snapshot().columns
    assert column.values == [1]


def one_of_two_callbacks() -> tuple[MeterProvider, Any]:
    """A gauge, each of whose two callbacks has a series of its own, and its provider."""
    provider = MeterProvider(shutdown_on_exit=False)
    callbacks = [lambda options, by=by: [Observation(1, {"by": by})] for by in "ab"]
    return provider, provider.get_meter("m").create_observable_gauge("g", callbacks)


def test_a_scrape_waits_for_what_another_thread_is_publishing(monkeypatch: pytest.MonkeyPatch) -> None:
    provider, gauge = one_of_two_callbacks()
    known = ObservableGauge._known
    is_publishing, may_go_on = Event(), Event()

    def slowly(self: Any) -> Any:
        is_publishing.set()
        may_go_on.wait(60)
        return known(self)

    monkeypatch.setattr(ObservableGauge, "_known", slowly)
    other = Thread(target=provider.refresh_observables)
    other.start()
    assert is_publishing.wait(60)
    wait = observables.Publication.wait

    def waiting(self: Any) -> None:
        may_go_on.set()
        wait(self)

    monkeypatch.setattr(observables.Publication, "wait", waiting)
    gauge.publish()
    (column,) = MergedView(provider.worker).snapshot().columns
    assert column.values == [1, 1]
    other.join()


def test_what_an_exception_kept_from_being_published_is_published_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider, gauge = one_of_two_callbacks()
    known = ObservableGauge._known

    def interrupted(self: Any) -> Any:
        monkeypatch.setattr(ObservableGauge, "_known", known)
        raise KeyboardInterrupt

    monkeypatch.setattr(ObservableGauge, "_known", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gauge.refresh()
    gauge.publish()
    (column,) = MergedView(provider.worker).snapshot().columns
    assert column.values == [1, 1]


def test_a_publication_within_a_publication_of_its_thread_does_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider, gauge = one_of_two_callbacks()
    known = ObservableGauge._known
    inner = [gauge.publish]

    def within(self: Any) -> Any:
        while inner:
            inner.pop()()
        return known(self)

    monkeypatch.setattr(ObservableGauge, "_known", within)
    monkeypatch.setattr(observables, "PATIENCE_S", 3600.0)  # for itself, it would wait for that long
    gauge.refresh()
    assert not inner
    (column,) = MergedView(provider.worker).snapshot().columns
    assert column.values == [1, 1]
