"""Makes `prometheus_client` itself count over every worker: code that imports it needs no changed import.

Its classes stay the same objects; only their constructors are wrapped. Metrics in a registry that the service
shows then record to cells, and write nothing to the files of the client's multi-process mode.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from prometheus_client import multiprocess
from prometheus_client import registry as their_registry

from otel_obs.prometheus._moving import RECORDED, StandingIn, constructing
from otel_obs.prometheus.multiprocess import with_cells
from otel_obs.prometheus.registry import move_all_in, note_maker

_Method = Callable[..., Any]

_replaced: dict[tuple[type, str], tuple[_Method, _Method | None]] = {}
"""What stands in for a method of a class, and what the class itself had before; None where it inherits it."""


def stand_in() -> None:
    """Make metrics of `prometheus_client`'s own classes record to cells, those made before included."""
    for kind in RECORDED:
        _replace(kind, "__init__", partial(_constructing, kind))
    _replace(their_registry.CollectorRegistry, "__init__", _noting)
    _replace(multiprocess.MultiProcessCollector, "collect", with_cells)
    StandingIn.is_on = True
    move_all_in()


def stand_aside() -> None:
    """Leave metrics made from now on as `prometheus_client` has them, and restore the client's own methods.

    Where another library has wrapped a method of ours since, its wrapper stays; ours inside it does nothing.
    """
    StandingIn.is_on = False
    for (owner, name), (ours, own) in list(_replaced.items()):
        if vars(owner).get(name) is not ours:
            continue
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)
        _replaced.pop((owner, name), None)


def _replace(owner: type, name: str, make: Callable[[_Method], _Method]) -> None:
    if (owner, name) in _replaced:
        return
    own = vars(owner).get(name)
    ours = make(getattr(owner, name))
    # In one step, as two threads may begin at the same time.
    if _replaced.setdefault((owner, name), (ours, own))[0] is ours:
        setattr(owner, name, ours)


def _constructing(kind: Any, _: _Method) -> _Method:
    return constructing(kind)


def _noting(construct: _Method) -> _Method:
    @wraps(construct)
    def construct_and_note(self: Any, *args: Any, **kwargs: Any) -> None:
        construct(self, *args, **kwargs)
        if StandingIn.is_on:
            note_maker(self)

    return construct_and_note
