"""Collections that do not keep their objects alive."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from types import MethodType
from typing import Any, Generic, TypeVar, cast

K = TypeVar("K")
T = TypeVar("T")


class _Numbered(weakref.ref[T]):
    """A weak reference that knows when it was added."""

    __slots__ = ("number",)
    number: int


class WeakObjects(Generic[T]):
    """The living ones of the objects that were added, in that order.

    Unlike a `WeakSet`, it may be read while other threads add to it: `list` copies a set in one step.
    What removes an object that has died runs no Python code. The interpreter swallows what is raised there,
    and a signal handler that raises, as one that ends the process does, would be called there too.
    """

    def __init__(self) -> None:
        self._references: set[_Numbered[T]] = set()
        self._numbers = itertools.count()

    def add(self, each: T) -> None:
        """Add an object; one that is here already stays once."""
        reference = _Numbered(each, self._references.discard)
        reference.number = next(self._numbers)
        self._references.add(reference)

    def discard(self, each: T) -> None:
        """Remove an object."""
        self._references.discard(cast("_Numbered[T]", weakref.ref(each)))

    def clear(self) -> None:
        """Remove all objects."""
        self._references.clear()

    def __contains__(self, each: T) -> bool:
        return weakref.ref(each) in self._references

    def living(self) -> list[T]:
        """The living objects."""
        references = sorted(self._references.copy(), key=attrgetter("number"))
        return [each for reference in references if (each := reference()) is not None]


class WeakByKey(Generic[K, T]):
    """The object of each key, for as long as somebody else keeps it alive.

    Unlike a `WeakValueDictionary`, it runs no Python code where an object dies; see `WeakObjects`.
    """

    def __init__(self) -> None:
        self._by_key: dict[K, weakref.ref[T]] = {}
        self._all: WeakObjects[T] = WeakObjects()

    def get(self, key: K) -> T | None:
        """The living object of *key*."""
        reference = self._by_key.get(key)
        return None if reference is None else reference()

    def setdefault(self, key: K, each: T) -> T:
        """The living object of *key*, which is *each* where there is none."""
        pop: Callable[[K, weakref.ref[T]], object] = self._by_key.pop
        reference = weakref.ref(each, partial(pop, key))
        self._all.add(each)
        while (known := self._by_key.setdefault(key, reference)) is not reference:
            present = known()
            if present is not None:
                return present
            self._by_key.pop(key, None)
        return each

    def __len__(self) -> int:
        return len(self._by_key)

    def living(self) -> list[T]:
        """The living objects, in the order of their coming, also one whose key has another by now."""
        return self._all.living()


class Notes(Generic[T]):
    """Notes about objects of other code, by identity and not by equality.

    The objects are not kept alive, except those that allow no weak reference, such as those of a class with
    `__slots__`: these live as long as their note.
    """

    def __init__(self) -> None:
        self._notes: dict[int, tuple[Callable[[], object], T]] = {}

    def put(self, each: object, note: T) -> None:
        """Set the note of an object, in place of an earlier one."""
        key = id(each)
        alive: Callable[[], object]
        pop: Callable[[int, object], object] = self._notes.pop
        try:
            # Called before another object can have the address, and so the `id`, of the one that is gone.
            alive = weakref.ref(each, partial(pop, key))
        except TypeError:
            alive = partial(_itself, each)
        self._notes[key] = (alive, note)

    def living(self) -> list[tuple[Any, T]]:
        """The living objects with their notes, in the order in which they were added."""
        found = [(alive(), note) for alive, note in list(self._notes.values())]
        return [(each, note) for each, note in found if each is not None]


def _itself(each: object) -> object:
    return each


def weakly(hook: Callable[[], object], gone: Callable[[Any], object] | None = None) -> Callable[[], None]:
    """Call a method for as long as its object lives; a plain function for ever.

    Args:
        hook: A bound method, or any other function.
        gone: Called with the dead reference when the object is gone; it should not run Python code.
    """
    if not isinstance(hook, MethodType):
        return lambda: _ignore(hook())
    method: Any = hook
    reference: weakref.ref[Any] = weakref.ref(method.__self__, gone)
    function = method.__func__

    def call() -> None:
        alive = reference()
        if alive is not None:
            function(alive)

    return call


def _ignore(result: object) -> None:
    """A hook's result means nothing."""
