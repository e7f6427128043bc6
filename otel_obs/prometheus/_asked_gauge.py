"""A function that gives a gauge of the client its value, asked by itself before a reading."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Callable
from typing import Protocol

from otel_obs.host.signals import raise_interruption


class ShowsFunction(Protocol):
    """A gauge whose value a function gives."""

    _name: str

    def _record(self, value: float) -> None:
        """Show every worker the value."""

    def note_failure(self, error: Exception) -> None:
        """Say that the function has failed, and show nothing of it."""

    def hide(self) -> None:
        """Have no series of this worker until the function returns."""


class AskedGauge:
    """One function, for the one series that `set_function` was called on.

    Args:
        gauge: The series, which is not kept alive.
        function: Gives its value.
    """

    is_ours = False

    def __init__(self, gauge: ShowsFunction, function: Callable[[], float]) -> None:
        self._gauge = weakref.ref(gauge)
        self.function = function
        self.name = gauge._name
        self.observed_s = -math.inf

    def __repr__(self) -> str:
        return f"the function of the gauge {self.name!r}"

    def refresh(self) -> None:
        """Ask it, and show every worker what it returned. Where it fails there is no series."""
        began_s = time.monotonic()
        try:
            value = float(self.function())
        except Exception as error:
            raise_interruption(error)
            failure = error
            self._tell(lambda gauge: gauge.note_failure(failure))
        else:
            self._tell(lambda gauge: gauge._record(value))
        self.observed_s = began_s

    def leave_out(self) -> None:
        """Show no value until it returns."""
        self._tell(lambda gauge: gauge.hide())

    def forget(self) -> None:
        """Be asked at the next reading, as in a child or on another provider."""
        self.observed_s = -math.inf

    def _tell(self, tell: Callable[[ShowsFunction], object]) -> None:
        gauge = self._gauge()
        # Who calls `set_function` again has another function asked.
        if gauge is not None and getattr(gauge, "_asked", None) is self:
            tell(gauge)
