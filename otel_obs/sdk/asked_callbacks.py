"""The callbacks of asynchronous instruments: each is called and timed separately."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from opentelemetry.context import get_current
from opentelemetry.metrics import CallbackOptions

from otel_obs.cells.attributes import canonical
from otel_obs.host.signals import raise_interruption


class Observed(NamedTuple):
    """One measurement of a callback."""

    value: float
    attributes: Mapping[str, Any] | None
    context: Any


class AsksCallbacks(Protocol):
    """An instrument with callbacks."""

    name: str

    def drop(self, reason: str, detail: str) -> None:
        """Count a measurement that is refused."""

    def note_failure(self, callback: AskedCallback, error: Exception) -> None:
        """Log that a callback has failed, once."""

    def take(self, callback: AskedCallback, observed: list[Observed]) -> None:
        """Take what one callback has returned: publish it, or at the next `publish`."""


class AskedCallback:
    """One callback of an instrument, and what it observed last.

    Args:
        instrument: The callback's.
        function: What is called.
        given: The callback as the application gave it, which identifies it for removal.
        is_ours: Whether it is otel_obs' own, so that it cannot hang.
    """

    def __init__(self, instrument: AsksCallbacks, function: Any, given: Any, is_ours: bool) -> None:
        self._instrument, self._function, self.given, self.is_ours = instrument, function, given, is_ours
        self.observed: list[Observed] = []
        """What it returned last; kept only if the instrument has other callbacks, too."""
        self.is_left_out = False
        self.began_s = self.observed_s = -math.inf
        """When the last run began, and the last whose values are published, on the monotonic clock."""

    @property
    def name(self) -> str:
        """The instrument's."""
        return self._instrument.name

    def __repr__(self) -> str:
        return repr(self._instrument)

    def observe(self, options: CallbackOptions | None = None) -> list[Observed]:
        """Run it. If it raises, that is logged, and the values that it has yielded so far count."""
        observed: list[Observed] = []
        try:
            for observation in self._function(options or CallbackOptions()):
                if math.isfinite(observation.value):
                    context = observation.context or get_current()
                    observed.append(Observed(observation.value, observation.attributes, context))
                else:
                    self._instrument.drop("not_finite", f"{observation.value!r} is not finite")
        except Exception as error:
            raise_interruption(error)
            self._instrument.note_failure(self, error)
        return observed

    def refresh(self) -> None:
        """Run it, and hand the values to the instrument."""
        began_s = time.monotonic()
        observed = self.observe()
        self.is_left_out, self.began_s = False, began_s
        self._instrument.take(self, observed)

    def leave_out(self) -> None:
        """Withdraw its values until the next refresh."""
        if not self.is_left_out:
            self.is_left_out = True
            self._instrument.take(self, [])

    def forget(self) -> None:
        """Forget the last values, after a fork or on another provider."""
        self.observed, self.is_left_out = [], False
        self.began_s = self.observed_s = -math.inf


def together(
    callbacks: Sequence[AskedCallback], given: Mapping[AskedCallback, list[Observed]]
) -> list[Observed]:
    """Join what the callbacks of one instrument have returned.

    A series that a callback missing from *given* contributed to before is left out: without that part its sum
    would fall, which readers take for a reset.
    """
    observed = [one for each in callbacks for one in given.get(each, ())]
    missing: Iterable[Observed] = (one for each in callbacks if each not in given for one in each.observed)
    hidden = {canonical(one.attributes) for one in missing}
    return [one for one in observed if canonical(one.attributes) not in hidden] if hidden else observed
