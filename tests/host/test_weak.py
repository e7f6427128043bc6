"""Objects of others that are known, whether a weak reference can be made to them or not."""

from __future__ import annotations

import gc
import sys
from types import FrameType

from otel_obs.host.weak import Notes, WeakObjects


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


def test_what_a_signal_handler_raises_is_not_swallowed_where_an_object_dies() -> None:
    objects: WeakObjects[Named] = WeakObjects()
    called: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.append(frame.f_code.co_name)

    dying = Named()
    objects.add(dying)
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        del dying
    finally:
        sys.setprofile(before)
    assert objects.living() == []
    # A handler runs where Python code runs; none runs where the interpreter swallows what is raised.
    assert called == []
