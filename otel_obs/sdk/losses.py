"""What a provider could not record: counted, and said once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from otel_obs.host.once import LogOnce


class LossCounter(Protocol):
    """A counter of OpenTelemetry's."""

    def add(self, amount: float, attributes: Mapping[str, Any]) -> None:
        """Count."""


class _Within(threading.local):
    is_counting = False


_within = _Within()


class Losses:
    """Measurements that were dropped, and those that went to an overflow series."""

    def __init__(self) -> None:
        self.dropped: dict[str, int] = {}
        """By reason."""
        self.overflowed: dict[str, int] = {}
        """By stream."""
        self._drops: LossCounter | None = None
        self._overflows: LossCounter | None = None
        self._once = LogOnce()

    def count_in(self, drops: LossCounter, overflows: LossCounter) -> None:
        """Count them in metrics, too."""
        self._drops, self._overflows = drops, overflows

    def drop(self, instrument: str, reason: str, detail: str) -> None:
        """Count a measurement that is not recorded, and log the first of its kind."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        if self._drops is not None and not _within.is_counting:
            # What cannot be recorded for want of memory, say, cannot be counted either.
            _within.is_counting = True
            try:
                self._drops.add(1, {"reason": reason})
            finally:
                _within.is_counting = False
        self._once.warning(
            (instrument, reason),
            "%r: %s; the measurement is dropped, and further ones silently",
            instrument,
            detail,
        )

    def note_overflow(self, stream: str, limit: int) -> None:
        """Count a measurement that went to the overflow series, and log the first of its stream."""
        self.overflowed[stream] = self.overflowed.get(stream, 0) + 1
        if self._overflows is not None:
            self._overflows.add(1, {"instrument": stream})
        self._once.warning(
            (stream, "overflow"),
            "%r has reached its limit of %d series; further attribute sets share one with "
            'otel_metric_overflow="true"; look for an attribute with too many values',
            stream,
            limit,
        )

    def start_over(self) -> None:
        """In a child: what was lost before is its parent's."""
        self.dropped.clear()
        self.overflowed.clear()
