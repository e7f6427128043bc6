"""Counter, Summary and Histogram of `prometheus_client`, recording to cells."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any

import prometheus_client
from prometheus_client import metrics as their_metrics

from otel_obs.host.signals import raise_interruption
from otel_obs.prometheus._binding import ClientDeclaration
from otel_obs.prometheus._borrowed_names import named_as
from otel_obs.prometheus._fast_paths import quicken
from otel_obs.prometheus._metric import RecordedMetric
from otel_obs.prometheus._value import HeldNumber, Value, be_a_series, number_at
from otel_obs.prometheus.context_managers import ExceptionCounter, Timer
from otel_obs.sdk import instruments
from otel_obs.sdk.aggregate import note_extremes
from otel_obs.sdk.current_context import current_context

_INF = inf
GivenExemplar = Mapping[str, str]
_check_exemplar: Callable[[GivenExemplar], None] = their_metrics._validate_exemplar  # type: ignore[attr-defined]
"""Raises a `ValueError` for exemplar labels that `prometheus_client` refuses."""


def added(amount: Any) -> float:
    """*amount* as a float; raises the same `TypeError` as `prometheus_client` if it is no number."""
    total = 0.0
    total += amount
    return float(total)


class RecordedCounter(RecordedMetric, prometheus_client.Counter):
    """A total that only grows."""

    def inc(self, amount: float = 1, exemplar: GivenExemplar | None = None) -> None:
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
        self._record(added(amount))
        if exemplar:
            _check_exemplar(exemplar)
            self._definition.keep_exemplar(self, float(amount), exemplar)

    def reset(self) -> None:
        """Restart at 0, in this worker."""
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
        return [HeldNumber(self.__dict__["_value"], 0)]

    def _declare(self) -> ClientDeclaration:
        return self._declaration(instruments.Counter, self._name)


class RecordedSummary(RecordedMetric, prometheus_client.Summary):
    """The count and the sum of what is observed."""

    def observe(self, amount: float) -> None:
        """Count *amount*, and add it to the sum.

        Raises:
            ValueError: The metric has labels and this is none of its series.
        """
        try:
            value = amount * 1.0
            # A view may give it buckets.
            if type(value) is float and not self._bounds and not current_context():
                cells, offset = self._cells, self._offset
                cells[offset] += 1.0
                cells[offset + 1] += value
                if self._has_extremes:
                    note_extremes(cells, offset + 1, value)
                return
        except Exception as error:  # not resolved yet, or an odd amount
            raise_interruption(error)
        self._be_series()
        self._record(added(amount))

    def time(self) -> Timer:
        """Observe the seconds of a block or a call, in a `with` or as a decorator."""
        return Timer(self, "observe")  # type: ignore[no-untyped-call]

    if not TYPE_CHECKING:  # attributes there
        _count = number_at(lambda metric: 0)
        _sum = number_at(lambda metric: 1)

    def take_numbers(self) -> list[Any]:
        return [HeldNumber(self.__dict__["_count"], 0), HeldNumber(self.__dict__["_sum"], 1)]

    def _declare(self) -> ClientDeclaration:
        return self._declaration(instruments.Histogram, self._name, bounds=())


class RecordedHistogram(RecordedMetric, prometheus_client.Histogram):
    """How many observations fell below each of some bounds."""

    def observe(self, amount: float, exemplar: GivenExemplar | None = None) -> None:
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
        value = added(amount)
        if value != value:
            self._sum.inc(value)  # a NaN is in no bucket, as in `prometheus_client`
            return
        self._record(value)
        if exemplar:
            _check_exemplar(exemplar)
            self._definition.keep_exemplar(self, float(amount), exemplar)  # not *value*: `added` loses -0.0

    def time(self) -> Timer:
        """Observe the seconds of a block or a call, in a `with` or as a decorator."""
        return Timer(self, "observe")  # type: ignore[no-untyped-call]

    if not TYPE_CHECKING:  # attributes there
        _sum = number_at(lambda metric: len(metric._finite_bounds()) + 1)

        @property
        def _buckets(self) -> list[Value]:
            be_a_series(self)
            return [Value(self, bucket) for bucket in range(len(self._finite_bounds()) + 1)]

    def take_numbers(self) -> list[Any]:
        bounds = self._finite_bounds()
        buckets = zip(self.__dict__["_buckets"], self._upper_bounds, strict=False)
        held = [HeldNumber(value, bisect_left(bounds, bound)) for value, bound in buckets]
        return [*held, HeldNumber(self.__dict__["_sum"], len(bounds) + 1)]

    def _finite_bounds(self) -> tuple[float, ...]:
        """The finite bounds, each once, as OpenTelemetry and Prometheus require."""
        return tuple(dict.fromkeys(bound for bound in self._upper_bounds if -_INF < bound < _INF))

    def _declare(self) -> ClientDeclaration:
        return self._declaration(instruments.Histogram, self._name, bounds=self._finite_bounds())


for _ours, _theirs, _verb, _path in (
    (RecordedCounter, prometheus_client.Counter, "inc", "series_counter_inc"),
    (RecordedSummary, prometheus_client.Summary, "observe", "series_summary_observe"),
    (RecordedHistogram, prometheus_client.Histogram, "observe", "series_histogram_observe"),
):
    named_as(_ours, _theirs)
    quicken(_ours, **{_verb: _path})
