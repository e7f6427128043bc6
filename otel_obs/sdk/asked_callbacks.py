"""The callbacks of asynchronous instruments: each is asked by itself."""

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

    def show_of(self, callback: AskedCallback, observed: list[Observed]) -> None:
        """Show every worker what one callback has given."""


class AskedCallback:
    """One callback of an instrument, and what it observed last.

    Args:
        instrument: The callback's.
        function: What is called.
        given: What the application gave, by which it takes it back.
        is_ours: Whether it is otel_obs' own, so that it cannot hang.
    """

    def __init__(self, instrument: AsksCallbacks, function: Any, given: Any, is_ours: bool) -> None:
        self._instrument, self._function, self.given, self.is_ours = instrument, function, given, is_ours
        self.observed: list[Observed] = []
        """What it gave last, where the instrument has other callbacks, too."""
        self.is_left_out = False
        self.observed_s = -math.inf

    @property
    def name(self) -> str:
        """The instrument's."""
        return self._instrument.name

    def __repr__(self) -> str:
        return repr(self._instrument)

    def observe(self, options: CallbackOptions | None = None) -> list[Observed]:
        """Run it; where it fails that is logged, and what it has given so far counts."""
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
        """Run it, and show every worker the values now."""
        began_s = time.monotonic()
        observed = self.observe()
        self.is_left_out = False
        self._instrument.show_of(self, observed)
        # Only now: until then it is not known that there are values.
        self.observed_s = began_s

    def leave_out(self) -> None:
        """Show no values until the next refresh."""
        if not self.is_left_out:
            self.is_left_out = True
            self._instrument.show_of(self, [])

    def forget(self) -> None:
        """Begin anew, as in a child or for another provider."""
        self.observed, self.is_left_out, self.observed_s = [], False, -math.inf


def together(
    callbacks: Sequence[AskedCallback], given: Mapping[AskedCallback, list[Observed]]
) -> list[Observed]:
    """What callbacks of one instrument have given.

    Without the series of which one that hangs gave a part: a sum that falls by it would be a reset.
    """
    observed = [one for each in callbacks for one in given.get(each, ())]
    missing: Iterable[Observed] = (one for each in callbacks if each not in given for one in each.observed)
    hidden = {canonical(one.attributes) for one in missing}
    return [one for one in observed if canonical(one.attributes) not in hidden] if hidden else observed
