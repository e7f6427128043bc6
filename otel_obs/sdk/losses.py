"""Measurements that a provider could not record: counted, and logged once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from otel_obs.host import gil
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
        with gil.alone():
            self.dropped[reason] = self.dropped.get(reason, 0) + 1
        _count(self._drops, {"reason": reason})
        self._once.warning(
            (instrument, reason),
            "%r: %s; the measurement is dropped, and further ones silently",
            instrument,
            detail,
        )

    def note_overflow(self, stream: str, limit: int) -> None:
        """Count a measurement that went to the overflow series, and log the first of its stream."""
        with gil.alone():
            self.overflowed[stream] = self.overflowed.get(stream, 0) + 1
        _count(self._overflows, {"instrument": stream})
        self._once.warning(
            (stream, "overflow"),
            "%r has reached its limit of %d series; further attribute sets share one with "
            'otel_metric_overflow="true"; look for an attribute with too many values',
            stream,
            limit,
        )

    def start_over(self) -> None:
        """Reset the counts in a child process: losses before the fork are the parent's."""
        self.dropped.clear()
        self.overflowed.clear()


def _count(counter: LossCounter | None, attributes: Mapping[str, Any]) -> None:
    """Count one, unless this thread is counting a loss already: the counter itself may lose a measurement."""
    if counter is None or _within.is_counting:
        return
    _within.is_counting = True
    try:
        counter.add(1, attributes)
    finally:
        _within.is_counting = False
