"""Gauges of `prometheus_client` that record to cells.

A gauge has two cells: its value, and when it was set, on the monotonic clock. The time is 0 at first, and
negative while the gauge was only counted up and down.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterable
from time import monotonic
from types import MethodType
from typing import TYPE_CHECKING, Any

import prometheus_client
from prometheus_client.metrics_core import Metric

from otel_obs.host.signals import raise_interruption
from otel_obs.prometheus._asked_gauge import AskedGauge
from otel_obs.prometheus._binding import LATEST_OR_SUM, PER_WORKER, PID, ClientDeclaration
from otel_obs.prometheus._borrowed_names import named_as
from otel_obs.prometheus._fast_paths import quicken
from otel_obs.prometheus._metric import RecordedMetric
from otel_obs.prometheus._numbers import added
from otel_obs.prometheus._value import HeldNumber, number_at
from otel_obs.prometheus.context_managers import InprogressTracker, Timer
from otel_obs.sdk import instruments


class RecordedGauge(RecordedMetric, prometheus_client.Gauge):
    """A value that goes up and down."""

    _asked: AskedGauge | None = None
    """The function that gives the value, after `set_function`."""
    _has_chosen_mode = True
    """Whether the application has passed `multiprocess_mode`, rather than got the default."""
    _is_timed = False
    """Whether the merge rule looks at when a worker has set the value."""
    _adds_up_unless_set = False
    """Whether the workers' values add up until a worker calls `set`: the rule `LATEST_OR_SUM`."""

    def inc(self, amount: float = 1) -> None:
        """Add *amount* to the value of this worker.

        Raises:
            RuntimeError: The gauge is of a "mostrecent" mode.
            ValueError: The metric has labels and this is none of its series.
        """
        kind: type = type(amount)
        if kind is int or kind is float:
            try:
                if self._adds_up_unless_set:
                    # The clock is read first: without a call after it, no other thread and no signal handler
                    # runs between the look-up of the cells and the last store (with a GIL).
                    counted_s = -monotonic()
                    cells, offset = self._cells, self._offset
                    cells[offset] += amount
                    if cells[offset + 1] <= 0.0:
                        cells[offset + 1] = counted_s
                    return
                if not self._is_most_recent:
                    self._cells[self._offset] += amount
                    return
            except Exception as error:  # not resolved yet, or too large
                raise_interruption(error)
        self._be_countable("inc")
        self._inc_slowly(amount)

    def dec(self, amount: float = 1) -> None:
        """Subtract *amount* from the value of this worker; raises as `inc` does."""
        kind: type = type(amount)
        if kind is int or kind is float:
            try:
                if self._adds_up_unless_set:
                    counted_s = -monotonic()
                    cells, offset = self._cells, self._offset
                    cells[offset] -= amount
                    if cells[offset + 1] <= 0.0:
                        cells[offset + 1] = counted_s
                    return
                if not self._is_most_recent:
                    self._cells[self._offset] -= amount
                    return
            except Exception as error:  # not resolved yet, or too large
                raise_interruption(error)
        self._be_countable("dec")
        self._inc_slowly(-amount)

    def _be_countable(self, verb: str) -> None:
        if self._is_most_recent:
            raise RuntimeError(f"{verb} must not be used with the mostrecent mode")
        self._be_series()

    def _inc_slowly(self, amount: float) -> None:
        value = added(amount)
        if self._cells is None:
            self.make_series()
        cells, offset = self._cells, self._offset
        if cells is None:
            self._definition.instrument.add_up(self, value)
            return
        cells[offset] += value
        if self._is_timed and cells[offset + 1] <= 0.0:
            cells[offset + 1] = -monotonic()

    def set(self, value: float) -> None:
        """Set the value of this worker.

        Raises:
            ValueError: The metric has labels and this is none of its series.
        """
        try:
            number = value * 1.0
            if type(number) is float:
                if not self._is_timed:
                    self._cells[self._offset] = number
                    return
                now_s = monotonic()
                cells, offset = self._cells, self._offset
                cells[offset] = number
                cells[offset + 1] = now_s
                return
        except Exception as error:  # not resolved yet, or an odd value
            raise_interruption(error)
        self._be_series()
        self._record(float(value))

    def set_number(self, at: int, value: float) -> None:
        """Set the value of this worker, of a series or not."""
        self._record(value)

    def set_to_current_time(self) -> None:
        """Set the Unix time, in seconds."""
        self.set(clock.time())

    def track_inprogress(self) -> InprogressTracker:
        """Raise the gauge by one while a block or a call runs, in a `with` or as a decorator."""
        self._be_series()
        return InprogressTracker(self)  # type: ignore[no-untyped-call]

    def time(self) -> Timer:
        """Set the seconds of a block or a call, in a `with` or as a decorator."""
        return Timer(self, "set")  # type: ignore[no-untyped-call]

    def set_function(self, f: Callable[[], float]) -> None:
        """Take the value from *f*, which each worker calls for itself; other methods do nothing then.

        If *f* raises, that is logged once, and the series is hidden until *f* returns again.
        """
        self._be_series()
        self._asked = AskedGauge(self, f)
        for name in ("set",) if self._is_most_recent else ("inc", "dec", "set"):
            setattr(self, name, MethodType(vars(_Unheard)[name], self))
        self._definition.asked.add(self._asked)
        self.hide()  # *f* is not called here: it may take long, or need a lock that the caller holds

    def _is_there(self) -> bool:
        """Whether there is a series from the start: with a function, only once it has returned."""
        return self._asked is None and super()._is_there()

    def detach(self) -> None:
        super().detach()
        if self._asked is not None:
            self._asked.forget()

    def _make_for(self, value: float) -> None:
        """Make the series with its value, so that no reader sees a 0 before it."""
        self._definition.open()
        self._definition.instrument.make(self, value, self._created)

    def note_failure(self, error: Exception) -> None:
        """Log that the function has failed, and hide the series."""
        self._definition.note_failure(self._name, error)
        self.hide()

    def hide(self) -> None:
        """Remove this worker's series until the function returns."""
        if self._cells is not None and not self._is_removed:
            self._definition.hide(self)
            self._cells = None

    def _families(self) -> Iterable[Metric]:
        """The family, merged over workers.

        The series of a function is made after its first call; it is sorted to where it was named.
        """
        families = super()._families()
        return self._as_named(families) if self._definition.asked.living() else families

    if not TYPE_CHECKING:  # an attribute there
        _value = number_at(lambda metric: 0)

    def take_numbers(self) -> list[Any]:
        asked = self.__dict__.get("_child_samples")
        if asked is not None:  # the client's `set_function` has stored it on the instance
            samples = asked.__func__
            self._asked = AskedGauge(self, lambda: next(iter(samples(None))).value)
        return [HeldNumber(self.__dict__["_value"], 0)]

    def take_up(self, numbers: list[Any]) -> None:
        super().take_up(numbers)
        if self._asked is not None:
            self.set_function(self._asked.function)

    def _declare(self) -> ClientDeclaration:
        rule = self._merge_rule()
        self._is_timed = rule.startswith("latest")
        self._adds_up_unless_set = rule == LATEST_OR_SUM
        return self._declaration(instruments.Gauge, self._name, merge=rule)

    def _merge_rule(self) -> str:
        rule = _MERGE_RULES[self._multiprocess_mode.removeprefix("live")]
        is_default = self._multiprocess_mode == "all" and not self._has_chosen_mode
        return LATEST_OR_SUM if rule == PER_WORKER and (is_default or PID in self._labelnames) else rule


_MERGE_RULES = {"all": PER_WORKER, "min": "min", "max": "max", "sum": "sum", "mostrecent": "latest"}


class _Unheard:
    """The methods of a gauge after `set_function`: they check the argument as before, and ignore it."""

    def inc(self, amount: float = 1) -> None:
        added(amount)

    def dec(self, amount: float = 1) -> None:
        added(-amount)

    def set(self, value: float) -> None:
        float(value)


for _kind in (RecordedGauge, _Unheard):
    named_as(_kind, prometheus_client.Gauge)
quicken(RecordedGauge, inc="series_gauge_inc", dec="series_gauge_dec", set="series_gauge_set")
