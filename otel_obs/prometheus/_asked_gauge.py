"""The function of `Gauge.set_function`: called before each reading, separately from all others."""

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
        """Remove this worker's series until the function returns."""


class AskedGauge:
    """The function of one series of a gauge.

    Args:
        gauge: The series that `set_function` was called on; referenced weakly.
        function: Returns its value.
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
        """Call the function and record what it returns; if it raises, the series is hidden."""
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
        """Hide the series until the function returns."""
        self._tell(lambda gauge: gauge.hide())

    def forget(self) -> None:
        """Forget the last call, after a fork or on another provider: the next reading calls again."""
        self.observed_s = -math.inf

    def _tell(self, tell: Callable[[ShowsFunction], object]) -> None:
        gauge = self._gauge()
        # A second call of `set_function` replaces this object; the old function may still be running.
        if gauge is not None and getattr(gauge, "_asked", None) is self:
            tell(gauge)
