"""Objects of others that are known, whether a weak reference can be made to them or not."""

from __future__ import annotations

import gc

from otel_obs.host.weak import Notes


class Plain:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain)

    __hash__ = None  # type: ignore[assignment]


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
