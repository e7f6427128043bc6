"""The kinds of metrics that hold numbers, recording to OpenTelemetry instruments in cells."""

from __future__ import annotations

import time as clock
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from math import inf
from types import MethodType
from typing import TYPE_CHECKING, Any

import prometheus_client
from prometheus_client import metrics as theirs
from prometheus_client.metrics_core import Metric

from otel_obs import compiled
from otel_obs.cells.worker import GIL_IS_ON
from otel_obs.host.signals import raise_interruption
from otel_obs.prometheus._binding import LATEST_OR_SUM, PER_WORKER, PID, ClientDeclaration
from otel_obs.prometheus._labels import LabelledMetric
from otel_obs.prometheus._metric import Recorded
from otel_obs.prometheus._naming import named_as
from otel_obs.prometheus._value import Value, number_at
from otel_obs.prometheus.context_managers import ExceptionCounter, InprogressTracker, Timer
from otel_obs.sdk import instruments as sdk
from otel_obs.sdk.aggregate import note_extremes
from otel_obs.sdk.free_threading import under_lock
from otel_obs.sdk.recording import current_context

_INF = inf
Labels = Mapping[str, str]
_check_exemplar: Callable[[Labels], None] = theirs._validate_exemplar  # type: ignore[attr-defined]
"""Raises a `ValueError` for labels that `prometheus_client` does not take."""


def _added(amount: Any) -> float:
    """The number that *amount* is; a `TypeError` that reads as `prometheus_client`'s where it is none."""
    total = 0.0
    total += amount
    return float(total)


class RecordedCounter(Recorded, prometheus_client.Counter):
    """A total that only grows."""

    def inc(self, amount: float = 1, exemplar: Labels | None = None) -> None:
        """Add *amount*, which is not negative.

        Raises:
            ValueError: It is negative, or the metric has labels and this is none of its series.
        """
        try:
            value = amount * 1.0
            if exemplar is None and 0.0 <= value < _INF and type(value) is float and not current_context():
                self._cells[self._offset] += value
                return
        except Exception as error:  # not resolved yet, or an odd amount
            raise_interruption(error)
        self._be_series()
        if amount < 0:
            raise ValueError("Counters can only be incremented by non-negative amounts.")
        self._record(_added(amount))
        if exemplar:
            _check_exemplar(exemplar)
            self._definition.keep_exemplar(self, float(amount), exemplar)

    def reset(self) -> None:
        """Begin anew at 0, in this worker."""
        self._be_series()
        self._restart()

    def count_exceptions(
        self, exception: type[BaseException] | tuple[type[BaseException], ...] = Exception
    ) -> ExceptionCounter:
        """Count what is raised, in a `with` or as a decorator, of coroutine functions too."""
        self._be_series()
        return ExceptionCounter(self, exception)

    if not TYPE_CHECKING:  # an attribute there
        _value = number_at(lambda metric: 0)

    def take_numbers(self) -> list[Any]:
        return [(self.__dict__.pop("_value"), 0)]

    def _declare(self) -> ClientDeclaration:
        return self._declaration(sdk.Counter, self._name)


class RecordedGauge(Recorded, prometheus_client.Gauge):
    """A value that goes up and down."""

    _function: Callable[[], float] | None = None
    _has_chosen_mode = True
    """Whether the application has named the mode; the default one is there for want of another."""
    _is_timed = False
    """Whether it matters when a worker has set the value."""

    def inc(self, amount: float = 1) -> None:
        """Add *amount* to the value of this worker.

        Raises:
            RuntimeError: The gauge is of a "mostrecent" mode.
            ValueError: The metric has labels and this is none of its series.
        """
        if not self._is_most_recent:
            try:
                value = amount * 1.0
                if type(value) is float:
                    now_s = clock.monotonic() if self._is_timed else 0.0
                    cells, offset = self._cells, self._offset
                    cells[offset] += value
                    if now_s and cells[offset + 1] <= 0.0:
                        cells[offset + 1] = -now_s
                    return
            except Exception as error:  # not resolved yet, or an odd amount
                raise_interruption(error)
        self._be_countable("inc")
        self._inc_slowly(amount)

    def dec(self, amount: float = 1) -> None:
        """Subtract *amount* from the value of this worker; raises as `inc` does."""
        if not self._is_most_recent:
            try:
                value = amount * 1.0
                if type(value) is float:
                    now_s = clock.monotonic() if self._is_timed else 0.0
                    cells, offset = self._cells, self._offset
                    cells[offset] -= value
                    if now_s and cells[offset + 1] <= 0.0:
                        cells[offset + 1] = -now_s
                    return
            except Exception as error:  # not resolved yet, or an odd amount
                raise_interruption(error)
        self._be_countable("dec")
        self._inc_slowly(-amount)

    def _be_countable(self, verb: str) -> None:
        if self._is_most_recent:
            raise RuntimeError(f"{verb} must not be used with the mostrecent mode")
        self._be_series()

    def _inc_slowly(self, amount: float) -> None:
        value = _added(amount)
        if self._cells is None:
            self.make_series()
        cells, offset = self._cells, self._offset
        if cells is None:
            self._definition.instrument.add_up(self, value)
            return
        cells[offset] += value
        if self._is_timed and cells[offset + 1] <= 0.0:
            cells[offset + 1] = -clock.monotonic()

    def set(self, value: float) -> None:
        """Set the value of this worker.

        Raises:
            ValueError: The metric has labels and this is none of its series.
        """
        try:
            number = value * 1.0
            if type(number) is float:
                now_s = clock.monotonic() if self._is_timed else 0.0
                cells, offset = self._cells, self._offset
                cells[offset] = number
                if now_s:
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
        self._function = f
        for name in ("set",) if self._is_most_recent else ("inc", "dec", "set"):
            setattr(self, name, MethodType(vars(_Unheard)[name], self))
        self._definition.computed.add(self)
        if self._cells is not None:
            self.compute()

    def _is_there(self) -> bool:
        """Whether there is a series from the start: a function's is there once it has returned."""
        return self._function is None and super()._is_there()

    def _make_for(self, value: float) -> None:
        """Hold the value from the start: no reader ever sees the 0 before it."""
        self._definition.open()
        self._definition.instrument.make(self, value, self._created)

    def compute(self) -> None:
        """Ask the function, and show every worker what it returned."""
        try:
            value = float(self._function())  # type: ignore[misc]
        except Exception as error:
            raise_interruption(error)
            message = f"the function of the gauge {self._name!r} failed; its series is not exposed"
            self._definition.log_once(message, error)
            self._definition.unmake(self)
            self._cells = None
            return
        self._record(value)

    def collect(self) -> Iterable[Metric]:
        """The family, merged over workers; a function's series, made late, stands where it was named."""
        families = super().collect()
        return self._as_named(families) if self._definition.computed else families

    if not TYPE_CHECKING:  # an attribute there
        _value = number_at(lambda metric: 0)

    def take_numbers(self) -> list[Any]:
        asked = self.__dict__.pop("_child_samples", None)
        if asked is not None:  # `set_function` has put it there
            samples = asked.__func__
            self._function = lambda: next(iter(samples(None))).value
        return [(self.__dict__.pop("_value"), 0)]

    def take_up(self, numbers: list[Any]) -> None:
        super().take_up(numbers)
        if self._function is not None:
            self.set_function(self._function)

    def _declare(self) -> ClientDeclaration:
        rule = self._merge_rule()
        self._is_timed = rule.startswith("latest")
        return self._declaration(sdk.Gauge, self._name, merge=rule)

    def _merge_rule(self) -> str:
        rule = _MERGE_RULES[self._multiprocess_mode.removeprefix("live")]
        is_default = self._multiprocess_mode == "all" and not self._has_chosen_mode
        return LATEST_OR_SUM if rule == PER_WORKER and (is_default or PID in self._labelnames) else rule


_MERGE_RULES = {"all": PER_WORKER, "min": "min", "max": "max", "sum": "sum", "mostrecent": "latest"}


class _Unheard:
    """What a gauge does whose value a function gives: it checks what it is given, as ever, and forgets it."""

    def inc(self, amount: float = 1) -> None:
        _added(amount)

    def dec(self, amount: float = 1) -> None:
        _added(-amount)

    def set(self, value: float) -> None:
        float(value)


class RecordedSummary(Recorded, prometheus_client.Summary):
    """The count and the sum of what is observed."""

    def observe(self, amount: float) -> None:
        """Count *amount*, and add it to the sum.

        Raises:
            ValueError: The metric has labels and this is none of its series.
        """
        try:
            value = amount * 1.0
            if type(value) is float and not current_context():
                cells, offset = self._cells, self._offset
                cells[offset] += 1.0
                cells[offset + 1] += value
                if self._has_extremes:
                    note_extremes(cells, offset + 1, value)
                return
        except Exception as error:  # not resolved yet, or an odd amount
            raise_interruption(error)
        self._be_series()
        self._record(_added(amount))

    def time(self) -> Timer:
        """Observe the seconds of a block or a call, in a `with` or as a decorator."""
        return Timer(self, "observe")  # type: ignore[no-untyped-call]

    if not TYPE_CHECKING:  # attributes there
        _count = number_at(lambda metric: 0)
        _sum = number_at(lambda metric: 1)

    def take_numbers(self) -> list[Any]:
        return [(self.__dict__.pop("_count"), 0), (self.__dict__.pop("_sum"), 1)]

    def _declare(self) -> ClientDeclaration:
        return self._declaration(sdk.Histogram, self._name, bounds=())


class RecordedHistogram(Recorded, prometheus_client.Histogram):
    """How many observations fell below each of some bounds."""

    def observe(self, amount: float, exemplar: Labels | None = None) -> None:
        """Count *amount* in its bucket, and add it to the sum.

        Raises:
            ValueError: The metric has labels and this is none of its series.
        """
        try:
            value = amount * 1.0
            if exemplar is None and -_INF <= value <= _INF and type(value) is float and not current_context():
                cells, offset, bounds = self._cells, self._offset, self._bounds
                bucket, sum_at = offset + bisect_left(bounds, value), offset + len(bounds) + 1
                # No call between these two: what a signal handler raises comes before both or after both.
                cells[bucket] += 1.0
                cells[sum_at] += value
                if self._has_extremes:
                    note_extremes(cells, sum_at, value)
                return
        except Exception as error:  # not resolved yet, or an odd amount
            raise_interruption(error)
        self._be_series()
        value = _added(amount)
        if value != value:
            self._sum.inc(value)  # in no bucket, as `prometheus_client` has it
            return
        self._record(value)
        if exemplar:
            _check_exemplar(exemplar)
            self._definition.keep_exemplar(self, value, exemplar)

    def time(self) -> Timer:
        """Observe the seconds of a block or a call, in a `with` or as a decorator."""
        return Timer(self, "observe")  # type: ignore[no-untyped-call]

    if not TYPE_CHECKING:  # attributes there
        _sum = number_at(lambda metric: len(metric._finite_bounds()) + 1)

        @property
        def _buckets(self) -> list[Value]:
            return [Value(self, bucket) for bucket in range(len(self._finite_bounds()) + 1)]

    def take_numbers(self) -> list[Any]:
        bounds = self._finite_bounds()
        buckets = zip(self.__dict__.pop("_buckets"), self._upper_bounds, strict=False)
        held = [(value, bisect_left(bounds, bound)) for value, bound in buckets]
        return [*held, (self.__dict__.pop("_sum"), len(bounds) + 1)]

    def _finite_bounds(self) -> tuple[float, ...]:
        """Each once, which OpenTelemetry asks for, and Prometheus too."""
        return tuple(dict.fromkeys(bound for bound in self._upper_bounds if -_INF < bound < _INF))

    def _declare(self) -> ClientDeclaration:
        return self._declaration(sdk.Histogram, self._name, bounds=self._finite_bounds())


for _ours, _theirs in (
    (RecordedCounter, prometheus_client.Counter),
    (RecordedGauge, prometheus_client.Gauge),
    (_Unheard, prometheus_client.Gauge),
    (RecordedSummary, prometheus_client.Summary),
    (RecordedHistogram, prometheus_client.Histogram),
):
    named_as(_ours, _theirs)

if not GIL_IS_ON:
    for _kind in (RecordedCounter, RecordedGauge, RecordedSummary, RecordedHistogram):
        for _name in ("inc", "dec", "set", "observe"):
            if _name in vars(_kind):
                setattr(_kind, _name, under_lock(vars(_kind)[_name]))
else:
    compiled.offer(RecordedCounter, "series_counter_inc", "inc")
    compiled.offer(RecordedGauge, "series_gauge_inc", "inc")
    compiled.offer(RecordedGauge, "series_gauge_dec", "dec")
    compiled.offer(RecordedGauge, "series_gauge_set", "set")
    compiled.offer(RecordedSummary, "series_summary_observe", "observe")
    compiled.offer(RecordedHistogram, "series_histogram_observe", "observe")
    compiled.offer(LabelledMetric, "series_labels", "labels")
    compiled.choose()
