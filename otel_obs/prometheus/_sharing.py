"""Which registries are merged over workers, and the names by which every worker knows them.

A registry is its maker's, as it is with `prometheus_client`: a job's own shows what that job has counted.
Merged over workers is what a service means to show: the default registry; one that is made while a module of
the application is imported, which every worker does alike; and one that is served, registered in such a
registry, or named by `share`.
"""

from __future__ import annotations

import itertools
import sys
import weakref
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any, NamedTuple

NAME = "_name_over_workers"
"""The attribute of a registry that has a name; "" is the default one."""

SITE = "_made_at"

_OF_OURS = __name__.rpartition(".")[0]
_OF_THEIRS = "prometheus_client."
_SCRIPTS = frozenset(("__main__", "__mp_main__"))
"""A script's own code runs as it likes, in one process or in several, for one job or for all."""

_DEPTH = 4


class Site(NamedTuple):
    """Where a registry was made: the innermost calls, and the module whose import it was a part of."""

    calls: tuple[tuple[CodeType, int], ...]
    module: str

    @property
    def name(self) -> str:
        """The same in every worker that runs the same code."""
        calls = (f"{code.co_name}:{line}" for code, line in self.calls)
        return f"{self.module or self.calls[0][0].co_filename.rpartition('/')[2]}:{'<'.join(calls)}"


_taken: dict[str, weakref.ref[Any]] = {}
"""The registries that have a name. A plain dictionary: two threads may name registries of one place."""


def shared_name(registry: Any) -> str | None:
    """The name that *registry* has over workers; None where it is its process's own."""
    name: str | None = getattr(registry, NAME, None)
    return name


def find_site() -> Site | None:
    """Where the code is that makes a registry just now."""
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
    """A name for *registry*: after where it was made; the second of a place has a number."""
    site: Site | None = getattr(registry, SITE, None)
    name = site.name if site is not None else _variable_of(registry) or "served"
    numbered = itertools.chain([name], (f"{name}#{number}" for number in itertools.count(2)))
    return next(each for each in numbered if _take(each, registry))


def _take(name: str, registry: Any) -> bool:
    """Let *registry* have a name, in one step, for as long as it lives; false where another has it."""

    def give_back(reference: weakref.ref[Any]) -> None:
        if _taken.get(name) is reference:
            del _taken[name]

    reference = weakref.ref(registry, give_back)
    return _taken.setdefault(name, reference) is reference


def _variable_of(registry: Any) -> str:
    """The module's variable that holds *registry*, which was made before anybody watched."""
    for module_name, module in list(sys.modules.items()):
        for variable, value in list(getattr(module, "__dict__", {}).items()):
            if value is registry:
                return f"{module_name}:{variable}"
    return ""
