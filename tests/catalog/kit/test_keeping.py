"""A metric keeps the handle of each series that there is, and not those of series that went."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from otel_obs.catalog.kit import keeping
from otel_obs.catalog.pipeline import active_evidence_gauge as evidence
from tests.catalog.conftest import Service

Handles = list["weakref.ref[Any]"]

MANNERS: dict[str, Callable[[str], Any]] = {
    "by position": lambda session: evidence.labels("toys", session),
    "by name": lambda session: evidence.labels(category="toys", session_id=session),
    "bound": lambda session: evidence.bind({"category": "toys", "session_id": session}),
}
OTHER_ORDERS: dict[str, Callable[[str], Any]] = {
    "by name": lambda session: evidence.labels(session_id=session, category="toys"),
    "bound": lambda session: evidence.bind({"session_id": session, "category": "toys"}),
}
REMOVALS: dict[str, Callable[[str], None]] = {
    "by position": lambda session: evidence.remove("toys", session),
    "by attributes": lambda session: evidence.remove({"category": "toys", "session_id": session}),
    "matching": lambda session: evidence.remove_matching({"session_id": session}),
}


def living(handles: Handles) -> list[Any]:
    gc.collect()
    return [handle for handle in (each() for each in handles) if handle is not None]


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("removal", REMOVALS)
def test_the_handle_of_a_removed_series_goes_with_its_users(
    manner: str, removal: str, service: Service
) -> None:
    made: Handles = []
    for number in range(20):
        handle = MANNERS[manner](f"{manner}, {removal}, {number}")
        handle.set(number)
        made.append(weakref.ref(handle))
        REMOVALS[removal](f"{manner}, {removal}, {number}")
        del handle
    assert living(made) == []
    assert service.samples("active_evidence_gauge") == []


@pytest.mark.parametrize("manner", OTHER_ORDERS)
@pytest.mark.parametrize("removal", REMOVALS)
def test_every_handle_of_a_removed_series_goes_in_whichever_order_it_was_asked_for(
    manner: str, removal: str, service: Service
) -> None:
    made: Handles = []
    for number in range(20):
        session = f"{manner}, {removal}, {number}, in two orders"
        for handle in (OTHER_ORDERS[manner](session), MANNERS[manner](session)):
            handle.set(number)
            made.append(weakref.ref(handle))
        del handle
        REMOVALS[removal](session)
    assert living(made) == []
    assert evidence._other_orders == {}
    assert service.samples("active_evidence_gauge") == []


@pytest.mark.parametrize("odd", [{"category": "toys", 1: "a"}, {1: 2}, {"category": []}, [], 5, "x"])
def test_odd_attributes_of_a_removal_are_a_drop(odd: Any, service: Service) -> None:
    evidence.labels("toys", "odd").set(1)
    evidence.remove(odd)
    if not isinstance(odd, dict):
        evidence.remove_matching(odd)
    instrument: Any = service.provider.get_meter("test").create_counter("c")
    instrument.add(1, {"a": "b"})
    for remove in (instrument.remove, instrument.remove_matching):
        remove(odd)
    assert len(service.samples("active_evidence_gauge")) == len(service.samples("c_total")) == 1
    evidence.remove("toys", "odd")


def test_a_handle_that_is_held_records_on_after_its_series_was_removed(service: Service) -> None:
    held = evidence.labels("toys", "held")
    held.set(1)
    evidence.remove("toys", "held")
    assert service.samples("active_evidence_gauge") == []
    held.set(2)
    expected = ['active_evidence_gauge{category="toys",session_id="held"} 2.0']
    assert service.samples("active_evidence_gauge") == expected
    evidence.remove("toys", "held")


@pytest.mark.parametrize("manner", MANNERS)
def test_no_more_handles_are_kept_than_a_bound(
    manner: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = len(evidence._handles)
    monkeypatch.setattr(keeping, "_MAX_HANDLES", others + 5)
    made: Handles = []
    for number in range(20):
        handle = MANNERS[manner](f"bounded {number}")
        handle.set(number)
        made.append(weakref.ref(handle))
        del handle
    kept = living(made)
    assert len(kept) == 5
    assert MANNERS[manner]("bounded 0") is kept[0]
    assert len(service.samples("active_evidence_gauge")) == 20
    evidence.remove_matching({"category": "toys"})


def test_no_more_places_are_kept_than_a_bound(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_MAX_HANDLES", len(evidence._by_position) + 5)
    for number in range(20):
        evidence.labels("toys", f"placed {number}")
    assert len(evidence._by_position) <= keeping._MAX_HANDLES
    evidence.remove_matching({"category": "toys"})
