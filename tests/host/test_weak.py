"""Objects of others that are known, whether a weak reference can be made to them or not."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from otel_obs.host.weak import Notes, WeakByKey, WeakObjects
from tests.support.calls import python_calls


class Plain:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain)

    __hash__ = None  # type: ignore[assignment]


class Named:
    pass


class Slotted:
    __slots__ = ()


def test_notes_of_equal_objects_are_apart_and_go_with_them() -> None:
    notes: Notes[str] = Notes()
    first, second = Plain(), Plain()
    notes.put(first, "a")
    notes.put(second, "b")
    notes.put(first, "c")
    assert [(each is first, note) for each, note in notes.living()] == [(True, "c"), (False, "b")]
    del first
    gc.collect()
    assert [note for _, note in notes.living()] == ["b"]


def test_an_object_without_weak_references_stays() -> None:
    notes: Notes[str] = Notes()
    kept = Slotted()
    notes.put(kept, "a")
    notes.put(kept, "b")
    assert [(each is kept, note) for each, note in notes.living()] == [(True, "b")]


def test_objects_are_in_the_order_of_their_coming_each_once_and_only_while_they_live() -> None:
    first, second, third = Named(), Named(), Named()
    objects: WeakObjects[Named] = WeakObjects()
    for each in (second, first, second, third):
        objects.add(each)
    assert objects.living() == [second, first, third]
    del first
    gc.collect()
    assert objects.living() == [second, third]
    objects.discard(second)
    objects.discard(second)
    assert objects.living() == [third]
    objects.clear()
    assert objects.living() == []


def test_an_object_is_known_by_its_key_while_it_lives() -> None:
    by_key: WeakByKey[str, Named] = WeakByKey()
    first, second, third = Named(), Named(), Named()
    assert by_key.setdefault("a", first) is first
    assert by_key.setdefault("a", second) is first
    assert by_key.setdefault("b", third) is third
    assert by_key.get("a") is first
    del second
    gc.collect()
    assert by_key.get("a") is first
    del first
    gc.collect()
    assert by_key.get("a") is None
    assert by_key.living() == [third]
    assert by_key.setdefault("a", third) is third


def test_nothing_is_kept_of_objects_that_are_gone() -> None:
    by_key: WeakByKey[int, Named] = WeakByKey()
    for key in range(1000):
        by_key.setdefault(key, Named())
    assert (len(by_key), by_key.living()) == (0, [])


def test_a_cycle_that_has_a_successor_before_it_is_collected_leaves_it_known() -> None:
    by_key: WeakByKey[str, Named] = WeakByKey()
    first, second = Named(), Named()
    first.__dict__["itself"] = first
    by_key.setdefault("a", first)
    by_key._by_key.pop("a")
    by_key.setdefault("a", second)
    del first
    gc.collect()
    assert by_key.living() == [second]


def _in_objects(each: Named) -> object:
    objects: WeakObjects[Named] = WeakObjects()
    objects.add(each)
    return objects


def _in_notes(each: Named) -> object:
    notes: Notes[str] = Notes()
    notes.put(each, "a")
    return notes


def _by_key(each: Named) -> object:
    by_key: WeakByKey[str, Named] = WeakByKey()
    by_key.setdefault("a", each)
    return by_key


@pytest.mark.parametrize("put", [_in_objects, _in_notes, _by_key])
def test_what_a_signal_handler_raises_is_not_swallowed_where_an_object_dies(
    put: Callable[[Named], Any],
) -> None:
    dying = Named()
    kept = put(dying)
    with python_calls() as called:
        del dying
    assert kept.living() == []
    assert called == []
