"""Functions that give metrics of the catalog their values, each asked in its own worker before a reading."""

from __future__ import annotations

import math
import time
from typing import Any, Protocol

from otel_obs.host.once import LogOnce
from otel_obs.host.signals import raise_interruption

_once = LogOnce()


class AskedFunctions(Protocol):
    """What takes its value from a function."""

    def compute(self) -> None:
        """Ask the function."""


_computed: list[AskedFunctions] = []


class Functions:
    """All functions, as their provider asks them."""

    def __init__(self) -> None:
        self.observed_s = -math.inf

    @property
    def is_ours(self) -> bool:
        """Whether there is no function to ask."""
        return not _computed

    def refresh(self) -> None:
        """Ask every function."""
        began_s = time.monotonic()
        for each in (*_computed,):
            try:
                each.compute()
            except Exception as error:
                raise_interruption(error)
                _once.warning(repr(each), "a function that gives a metric its value failed", error=error)
        self.observed_s = began_s

    def leave_out(self) -> None:
        """The metrics hold what their functions said last."""


def ask(computed: AskedFunctions) -> None:
    """Have *computed* be asked before every reading from now on."""
    if computed not in _computed:
        _computed.append(computed)


def ask_no_longer(computed: AskedFunctions) -> None:
    """Take back `ask`."""
    if computed in _computed:
        _computed.remove(computed)


def join(provider: Any) -> None:
    """Be asked by *provider*."""
    refreshed = getattr(provider, "refreshed", None)
    if refreshed is not None:
        refreshed.append(Functions())
