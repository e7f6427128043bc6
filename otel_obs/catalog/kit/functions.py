"""Functions that give metrics of the catalog their values, each asked by itself before a reading."""

from __future__ import annotations

import math
import time
from typing import Any, Protocol

from otel_obs.host.once import LogOnce
from otel_obs.host.signals import raise_interruption

_once = LogOnce()


class TakesFunction(Protocol):
    """What takes its value from a function."""

    def compute(self) -> None:
        """Ask the function."""

    def hide(self) -> None:
        """Have no value until the function returns."""


class AskedFunction:
    """One function, as providers ask it.

    Args:
        name: What it gives a value.
        taking: What takes its value from it.
    """

    is_ours = False

    def __init__(self, name: str, taking: TakesFunction) -> None:
        self.name, self.taking = name, taking
        self.observed_s = -math.inf

    def __repr__(self) -> str:
        return f"the function of {self.name!r}"

    def refresh(self) -> None:
        """Ask it."""
        began_s = time.monotonic()
        try:
            self.taking.compute()
        except Exception as error:
            raise_interruption(error)
            _once.warning(self, "the function of %r failed", self.name, error=error)
        self.observed_s = began_s

    def leave_out(self) -> None:
        """Show no value until it returns."""
        self.taking.hide()


_asked: dict[int, AskedFunction] = {}


def asked() -> list[AskedFunction]:
    """Every function, in the order in which they came."""
    return list(_asked.values())


def ask(name: str, taking: TakesFunction) -> None:
    """Have *taking* be asked before every reading from now on."""
    _asked.setdefault(id(taking), AskedFunction(name, taking)).observed_s = -math.inf


def ask_no_longer(taking: TakesFunction) -> None:
    """Take back `ask`."""
    _asked.pop(id(taking), None)


def join(provider: Any) -> None:
    """Be asked by *provider*."""
    functions = getattr(provider, "functions", None)
    if functions is not None:
        for each in asked():
            each.observed_s = -math.inf
        functions.append(asked)
