"""Gauges of `prometheus_client` that record to OpenTelemetry's in cells."""

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
from otel_obs.prometheus._fast_paths import quicken
from otel_obs.prometheus._metric import Recorded
from otel_obs.prometheus._naming import named_as
from otel_obs.prometheus._numbers import added
from otel_obs.prometheus._value import number_at
from otel_obs.prometheus.context_managers import InprogressTracker, Timer
from otel_obs.sdk import instruments as sdk


class RecordedGauge(Recorded, prometheus_client.Gauge):
    """A value that goes up and down."""

    _asked: AskedGauge | None = None
    """What gives the value, where a function does."""
    _has_chosen_mode = True
    """Whether the application has named the mode; the default one is there for want of another."""
    _is_timed = False
    """Whether it matters when a worker has set the value."""
    _adds_up_unless_set = False
    """Whether what is counted up and down holds only until some worker has set the value."""

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
        """Be up by one as long as a block or a call runs, in a `with` or as a decorator."""
        self._be_series()
        return InprogressTracker(self)  # type: ignore[no-untyped-call]

    def time(self) -> Timer:
        """Set the seconds of a block or a call, in a `with` or as a decorator."""
        return Timer(self, "set")  # type: ignore[no-untyped-call]

    def set_function(self, f: Callable[[], float]) -> None:
        """Take the value from *f*, which each worker asks for itself; all other methods do nothing then.

        A function that raises is logged once, and its series is not there until it returns again.
        """
        self._be_series()
        self._asked = AskedGauge(self, f)
        for name in ("set",) if self._is_most_recent else ("inc", "dec", "set"):
            setattr(self, name, MethodType(vars(_Unheard)[name], self))
        self._definition.asked.add(self._asked)
        self.hide()  # not asked here: it may take long, or wait for who calls

    def _is_there(self) -> bool:
        """Whether there is a series from the start: a function's is there once it has returned."""
        return self._asked is None and super()._is_there()

    def detach(self) -> None:
        super().detach()
        if self._asked is not None:
            self._asked.forget()

    def _make_for(self, value: float) -> None:
        """Hold the value from the start: no reader ever sees the 0 before it."""
        self._definition.open()
        self._definition.instrument.make(self, value, self._created)

    def note_failure(self, error: Exception) -> None:
        """Say that the function has failed, and show nothing of it."""
        self._definition.note_failure(self._name, error)
        self.hide()

    def hide(self) -> None:
        """Have no series of this worker until the function returns."""
        if self._cells is not None and not self._is_removed:
            self._definition.hide(self)
            self._cells = None

    def collect(self) -> Iterable[Metric]:
        """The family, merged over workers; a function's series, made late, stands where it was named."""
        families = super().collect()
        return self._as_named(families) if self._definition.asked.living() else families

    if not TYPE_CHECKING:  # an attribute there
        _value = number_at(lambda metric: 0)

    def take_numbers(self) -> list[Any]:
        asked = self.__dict__.pop("_child_samples", None)
        if asked is not None:  # `set_function` has put it there
            samples = asked.__func__
            self._asked = AskedGauge(self, lambda: next(iter(samples(None))).value)
        return [(self.__dict__.pop("_value"), 0)]

    def take_up(self, numbers: list[Any]) -> None:
        super().take_up(numbers)
        if self._asked is not None:
            self.set_function(self._asked.function)

    def _declare(self) -> ClientDeclaration:
        rule = self._merge_rule()
        self._is_timed = rule.startswith("latest")
        self._adds_up_unless_set = rule == LATEST_OR_SUM
        return self._declaration(sdk.Gauge, self._name, merge=rule)

    def _merge_rule(self) -> str:
        rule = _MERGE_RULES[self._multiprocess_mode.removeprefix("live")]
        is_default = self._multiprocess_mode == "all" and not self._has_chosen_mode
        return LATEST_OR_SUM if rule == PER_WORKER and (is_default or PID in self._labelnames) else rule


_MERGE_RULES = {"all": PER_WORKER, "min": "min", "max": "max", "sum": "sum", "mostrecent": "latest"}


class _Unheard:
    """What a gauge does whose value a function gives: it checks what it is given, as ever, and forgets it."""

    def inc(self, amount: float = 1) -> None:
        added(amount)

    def dec(self, amount: float = 1) -> None:
        added(-amount)

    def set(self, value: float) -> None:
        float(value)


for _kind in (RecordedGauge, _Unheard):
    named_as(_kind, prometheus_client.Gauge)
quicken(RecordedGauge, inc="series_gauge_inc", dec="series_gauge_dec", set="series_gauge_set")
