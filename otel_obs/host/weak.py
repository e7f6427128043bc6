"""Objects that are known and not kept alive."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class WeakObjects(Generic[T]):
    """The objects that live of those that were added, in that order.

    Unlike a `WeakSet`, it may be read while other threads add to it: `list` of a dictionary is one step.
    """

    def __init__(self) -> None:
        self._references: dict[weakref.ref[T], None] = {}

    def add(self, each: T) -> None:
        """Know one more object; one that is known stays once."""
        self._references[weakref.ref(each, self._drop)] = None

    def discard(self, each: T) -> None:
        """Know an object no longer."""
        self._drop(weakref.ref(each))

    def clear(self) -> None:
        """Know nothing any more."""
        self._references.clear()

    def living(self) -> list[T]:
        """Those that live."""
        return [each for reference in list(self._references) if (each := reference()) is not None]

    def _drop(self, reference: weakref.ref[T]) -> None:
        self._references.pop(reference, None)


class Notes(Generic[T]):
    """What is known of objects of others, told apart by what they are, not by what they equal.

    They are not kept alive, but for those that no weak reference can be made to, as of classes with
    `__slots__`: these stay for as long as what is known of them.
    """

    def __init__(self) -> None:
        self._notes: dict[int, tuple[Callable[[], object], T]] = {}

    def put(self, each: object, note: T) -> None:
        """Know *note* of an object from now on, in place of what was known of it."""
        key = id(each)
        alive: Callable[[], object]
        try:
            alive = weakref.ref(each, partial(self._drop, key))
        except TypeError:
            alive = partial(_itself, each)
        self._notes[key] = (alive, note)

    def living(self) -> list[tuple[Any, T]]:
        """Those that live, each with what is known of it, in the order in which they came."""
        found = [(alive(), note) for alive, note in list(self._notes.values())]
        return [(each, note) for each, note in found if each is not None]

    def _drop(self, key: int, reference: Callable[[], object]) -> None:
        # Another object may have the place in memory, and so the key, of the one that is gone.
        known = self._notes.get(key)
        if known is not None and known[0] is reference:
            self._notes.pop(key, None)


def _itself(each: object) -> object:
    return each


def weakly(hook: Callable[[], object], gone: Callable[[], object] = lambda: None) -> Callable[[], None]:
    """Call a method for as long as its object lives; a plain function for ever.

    Args:
        hook: A bound method, or any other function.
        gone: Called when the object is gone.
    """
    if not isinstance(hook, MethodType):
        return lambda: _ignore(hook())
    method: Any = hook
    reference: weakref.ref[Any] = weakref.ref(method.__self__, lambda _: gone())
    function = method.__func__

    def call() -> None:
        alive = reference()
        if alive is not None:
            function(alive)

    return call


def _ignore(result: object) -> None:
    """A hook's result means nothing."""
