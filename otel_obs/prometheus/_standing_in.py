"""`prometheus_client` itself, right over every worker: code that imports it needs no changed import.

Its classes stay what they are. Their constructors have metrics record to cells that are made for a registry
which the service shows. Nothing is written to the files of its multi-process mode for these.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from prometheus_client import multiprocess
from prometheus_client import registry as theirs

from otel_obs.prometheus._moving import RECORDED, StandingIn, constructing
from otel_obs.prometheus.multiprocess import with_cells
from otel_obs.prometheus.registry import move_all_in, note_maker

_prepared: list[bool] = []


def stand_in() -> None:
    """Have what is made by `prometheus_client`'s names record to cells, and what was made before."""
    if not _prepared:
        _prepared.append(True)
        _prepare()
    StandingIn.is_on = True
    move_all_in()


def stand_aside() -> None:
    """Leave alone what is made from now on."""
    StandingIn.is_on = False


def _prepare() -> None:
    """Put our constructors around those of `prometheus_client`, which do nothing when switched off."""
    for kind in RECORDED:
        kind.__init__ = constructing(kind)  # type: ignore[method-assign]
    construct = theirs.CollectorRegistry.__init__

    @wraps(construct)
    def construct_and_note(self: Any, *args: Any, **kwargs: Any) -> None:
        construct(self, *args, **kwargs)
        if StandingIn.is_on:
            note_maker(self)

    theirs.CollectorRegistry.__init__ = construct_and_note  # type: ignore[method-assign]
    collector = multiprocess.MultiProcessCollector
    collector.collect = with_cells(collector.collect)  # type: ignore[method-assign]
