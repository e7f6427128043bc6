"""Which registries are merged over workers, and the names by which every worker knows them.

By default a registry is of one process, as with `prometheus_client`: one that a job has made shows what that
job has counted. Merged over workers are the default registry; one made while a module of the application is
imported, since every worker imports it; and one that is served, registered in a merged registry, or given to
`share`.
"""

from __future__ import annotations

import itertools
import sys
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from types import CodeType, FrameType
from typing import Any, NamedTuple

NAME = "_name_over_workers"
"""The attribute with the name of a merged registry; "" is the default one."""

SITE = "_made_at"
"""The attribute with the `Site` of a registry; None or absent if it is unknown."""

_OF_OURS = __name__.rpartition(".")[0]
_OF_THEIRS = "prometheus_client."
_SCRIPTS = frozenset(("__main__", "__mp_main__"))
"""A script's module level may run in one process only, or differ between processes: its registries are not
merged."""

_DEPTH = 4


class Site(NamedTuple):
    """Where a registry was made: the innermost calls, and the module during whose import; "" if none."""

    calls: tuple[tuple[CodeType, int], ...]
    module: str

    @property
    def name(self) -> str:
        """A name for the registry: the same in every worker that runs the same code."""
        calls = (f"{code.co_name}:{line}" for code, line in self.calls)
        return f"{self.module or self.calls[0][0].co_filename.rpartition('/')[2]}:{'<'.join(calls)}"


_taken: dict[str, weakref.ref[Any]] = {}
"""The named registries. `dict.setdefault` is atomic, so that of two threads only one gets a name."""


def shared_name(registry: Any) -> str | None:
    """The name that *registry* has over workers; None if it is of this process alone."""
    name: str | None = getattr(registry, NAME, None)
    return name


def find_site() -> Site | None:
    """Find the code that is making a registry: the calls outside of this package and `prometheus_client`."""
    calls: list[tuple[CodeType, int]] = []
    for frame in _frames():
        if len(calls) < _DEPTH:
            calls.append((frame.f_code, frame.f_lineno))
        if frame.f_code.co_name == "<module>":
            name = str(frame.f_globals.get("__name__"))
            return Site(tuple(calls), "" if name in _SCRIPTS else name)
    return Site(tuple(calls), "") if calls else None


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        if not name.startswith((_OF_OURS, _OF_THEIRS)):
            yield frame
        frame = frame.f_back


def name_of(registry: Any) -> str:
    """Name *registry* after where it was made; a second one made there gets a number."""
    site: Site | None = getattr(registry, SITE, None)
    name = site.name if site is not None else _variable_of(registry) or "served"
    numbered = itertools.chain([name], (f"{name}#{number}" for number in itertools.count(2)))
    return next(each for each in numbered if _take(each, registry))


def _take(name: str, registry: Any) -> bool:
    """Give *registry* a name, atomically, for as long as it lives; false if another has the name."""
    # No Python code runs where the registry dies: see `WeakObjects`.
    pop: Callable[..., object] = _taken.pop
    # A reference that is not taken is gone before the registry, and calls nothing.
    reference = weakref.ref(registry, partial(pop, name))
    holder = _taken.setdefault(name, reference)
    return holder is reference or holder() is registry


def _variable_of(registry: Any) -> str:
    """The module variable that holds *registry*, for one made before its maker was noted."""
    for module_name, module in list(sys.modules.items()):
        for variable, value in list(getattr(module, "__dict__", {}).items()):
            if value is registry:
                return f"{module_name}:{variable}"
    return ""
