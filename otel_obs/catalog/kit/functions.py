"""Functions that give metrics of the catalog their values; each is called by itself before a collection."""

from __future__ import annotations

import math
import time
from typing import Any, Protocol

from otel_obs.host import forks
from otel_obs.host.once import LogOnce
from otel_obs.host.signals import raise_interruption

_once = LogOnce()


class TakesFunction(Protocol):
    """A gauge or cache that takes its value from a function."""

    def compute(self) -> None:
        """Call the function, and take its value."""

    def hide(self) -> None:
        """Have no value until the function returns."""


class AskedFunction:
    """One function, as a `MeterProvider` of `otel_obs.sdk` refreshes it.

    Args:
        name: The metric that the function gives a value, for messages.
        taking: The object that calls the function and takes its value.
    """

    is_ours = False  # the application's function may hang

    def __init__(self, name: str, taking: TakesFunction) -> None:
        self.name, self.taking = name, taking
        self.observed_s = -math.inf

    def __repr__(self) -> str:
        return f"the function of {self.name!r}"

    def refresh(self) -> None:
        """Call the function; log its first failure, and keep the value that it gave before."""
        began_s = time.monotonic()
        try:
            self.taking.compute()
        except Exception as error:
            raise_interruption(error)
            _once.warning(self, "the function of %r failed", self.name, error=error)
        self.observed_s = began_s

    def leave_out(self) -> None:
        """Show no value until the function returns."""
        self.taking.hide()


_asked: dict[int, AskedFunction] = {}


def asked() -> list[AskedFunction]:
    """Every registered function, in the order of registration."""
    return list(_asked.values())


def ask(name: str, taking: TakesFunction) -> None:
    """Call *taking* before every collection from now on, also before the next one."""
    _asked.setdefault(id(taking), AskedFunction(name, taking)).observed_s = -math.inf


def ask_no_longer(taking: TakesFunction) -> None:
    """Undo `ask`."""
    _asked.pop(id(taking), None)


def refresh_with(provider: Any) -> None:
    """Let *provider* refresh the registered functions; each is due at once."""
    functions = getattr(provider, "functions", None)
    if functions is not None:
        _be_due()
        functions.append(asked)


def _be_due() -> None:
    for each in asked():
        each.observed_s = -math.inf


# The values that the parent has taken are in the parent's cells.
forks.after_in_child(_be_due)
