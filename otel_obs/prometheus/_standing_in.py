"""Makes `prometheus_client` itself count over every worker: code that imports it needs no changed import.

Its classes stay the same objects; only their constructors are wrapped. Metrics in a registry that the service
shows then record to cells, and write nothing to the files of the client's multi-process mode.
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
    """Make metrics of `prometheus_client`'s own classes record to cells, those made before included."""
    if not _prepared:
        _prepared.append(True)
        _prepare()
    StandingIn.is_on = True
    move_all_in()


def stand_aside() -> None:
    """Leave metrics made from now on as `prometheus_client` has them."""
    StandingIn.is_on = False


def _prepare() -> None:
    """Wrap the constructors of `prometheus_client`, once: the wrappers do nothing while switched off."""
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
