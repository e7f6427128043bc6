"""The synchronous instruments of the OpenTelemetry Metrics API, over cells.

Each recording method is a fast path in a `try`. It does not test whether its cells and offset are known: if
they are not, the subscript raises, and the slow path in `Recorder` does the rest.
"""

from __future__ import annotations

from bisect import bisect_left
from time import monotonic, time
from typing import Any

from opentelemetry import metrics
from opentelemetry.context import Context
from opentelemetry.metrics import _Gauge as ApiGauge

from otel_obs.cells.attributes import AttributeMapping
from otel_obs.cells.layout import Kind
from otel_obs.host.signals import raise_interruption
from otel_obs.sdk.aggregate import Aggregator, note_extremes
from otel_obs.sdk.bound import Bound
from otel_obs.sdk.context_managers import ExceptionCounting, InProgress, Timing
from otel_obs.sdk.current_context import current_context
from otel_obs.sdk.instrument import Instrument
from otel_obs.sdk.recording import INF


class BoundCounter(Bound):
    """A counter's attribute set."""

    __slots__ = ()

    def add(self, amount: float = 1) -> None:
        """Add *amount*, which is not negative, in the instrument's unit."""
        try:
            if amount > 0 and (type(amount) is int or (type(amount) is float and amount < INF)):
                self._cells[self._offset] += amount
                if current_context():
                    self.offer(amount)
                return
        except Exception as error:  # not resolved yet, or an odd amount
            raise_interruption(error)
        self._slow(amount)

    inc = add

    def count_exceptions(
        self, exception: type[BaseException] | tuple[type[BaseException], ...] = Exception
    ) -> ExceptionCounting:
        """Count what is raised, in a `with` or as a decorator."""
        return ExceptionCounting(self.inc, exception)


class Counter(Instrument[BoundCounter], metrics.Counter):
    """A sum that only grows. See `opentelemetry.metrics.Counter`."""

    _kind = Kind.COUNTER

    def add(
        self, amount: float, attributes: AttributeMapping | None = None, context: Context | None = None
    ) -> None:
        """Add *amount*, which is not negative, to the series of *attributes*. Never raises."""
        try:
            is_usual = type(amount) is int or (type(amount) is float and amount < INF)
            if amount > 0 and is_usual and context is None:
                offset = self._offsets[(*attributes, *attributes.values()) if attributes else ()]
                self._cells[offset] += amount
                if current_context():
                    self._offer(offset, amount, attributes)
                return
        except Exception as error:  # a new series, an odd amount, odd attributes
            raise_interruption(error)
        self._slow(amount, attributes, context)

    def bind(self, attributes: AttributeMapping | None = None) -> BoundCounter:
        """Resolve *attributes* once; the handle's `add` is several times faster."""
        return self._bind(attributes, BoundCounter)


class BoundUpDownCounter(Bound):
    """An updowncounter's attribute set."""

    __slots__ = ()
    _recorder: UpDownCounter

    def add(self, amount: float = 1) -> None:
        """Add *amount*, which may be negative, in the instrument's unit."""
        try:
            value = amount + 0.0
            if -INF < value < INF and type(value) is float:
                self._cells[self._offset] += value
                if current_context():
                    self.offer(value)
                return
        except Exception as error:  # not resolved yet, or an odd amount
            raise_interruption(error)
        self._slow(amount)

    inc = add

    def dec(self, amount: float = 1) -> None:
        """Subtract *amount*."""
        self.add(-amount)

    def set(self, amount: float) -> None:
        """Set this worker's part of the sum."""
        self._recorder.put(self, amount)

    def track_inprogress(self) -> InProgress:
        """Go up by one while a block or a call runs, in a `with` or as a decorator."""
        return InProgress(self)


class UpDownCounter(Instrument[BoundUpDownCounter], metrics.UpDownCounter):
    """A sum that grows and shrinks. See `opentelemetry.metrics.UpDownCounter`."""

    _kind = Kind.UPDOWN
    _allows_negative = True

    def add(
        self, amount: float, attributes: AttributeMapping | None = None, context: Context | None = None
    ) -> None:
        """Add *amount*, which may be negative, to the series of *attributes*. Never raises."""
        try:
            if context is None:
                value = amount + 0.0
                offset = self._offsets[(*attributes, *attributes.values()) if attributes else ()]
                if -INF < value < INF and type(value) is float:
                    self._cells[offset] += value
                    if current_context():
                        self._offer(offset, value, attributes)
                    return
        except Exception as error:  # a new series, an odd amount, odd attributes
            raise_interruption(error)
        self._slow(amount, attributes, context)

    def bind(self, attributes: AttributeMapping | None = None) -> BoundUpDownCounter:
        """Resolve *attributes* once; the handle's `add` is several times faster."""
        return self._bind(attributes, BoundUpDownCounter)

    def put(self, bound: BoundUpDownCounter, amount: Any) -> None:
        """Set this worker's part of the sum. Never raises."""
        value = self._check(amount)
        if value is None:
            return
        for aggregator in self.aggregators():
            key = aggregator.identify(bound.attributes)

            def change(aggregator: Aggregator = aggregator, key: bytes = key) -> None:
                series = aggregator.find(key)
                is_sum = aggregator.stream.kind is Kind.UPDOWN
                aggregator.apply(series, value - series.cells[series.offset] if is_sum else value)

            self._owner.worker.exclusively(change)
        self._teach(bound)


class BoundGauge(Bound):
    """A gauge's attribute set."""

    __slots__ = ()
    _recorder: Gauge

    def set(self, amount: float) -> None:
        """Set the value, in the instrument's unit."""
        try:
            value = amount + 0.0
            if -INF < value < INF and type(value) is float:
                # The clock first: without a call after it, the cells stay those of the offset (with a GIL).
                now_s = monotonic()
                cells, offset = self._cells, self._offset
                # The value first: a reader in between sees it with the old time, never an old value as new.
                cells[offset] = value
                cells[offset + 1] = now_s
                if current_context():
                    self.offer(value)
                return
        except Exception as error:  # not resolved yet, or an odd amount
            raise_interruption(error)
        self._slow(amount)

    def inc(self, amount: float = 1) -> None:
        """Add to the value that this worker has set."""
        try:
            value = amount + 0.0
            if -INF < value < INF and type(value) is float:
                now_s = monotonic()
                cells, offset = self._cells, self._offset
                cells[offset] += value
                cells[offset + 1] = now_s
                return
        except Exception as error:  # not resolved yet, or an odd amount
            raise_interruption(error)
        self._recorder.increase(self, amount)

    def dec(self, amount: float = 1) -> None:
        """Subtract from the value that this worker has set."""
        self.inc(-amount)

    def set_to_current_time(self) -> None:
        """Set the Unix time, in seconds."""
        self.set(time())

    def track_inprogress(self) -> InProgress:
        """Go up by one while a block or a call runs, in a `with` or as a decorator."""
        return InProgress(self)

    def time(self) -> Timing:
        """Set the seconds of a block or a call, in a `with` or as a decorator."""
        return Timing(self.set)


class Gauge(Instrument[BoundGauge], ApiGauge):
    """A value that is set. See `opentelemetry.metrics.Gauge`."""

    _kind = Kind.GAUGE
    _allows_negative = True

    def set(
        self, amount: float, attributes: AttributeMapping | None = None, context: Context | None = None
    ) -> None:
        """Set the series of *attributes*. Never raises."""
        try:
            if context is None:
                value = amount + 0.0
                offset = self._offsets[(*attributes, *attributes.values()) if attributes else ()]
                if -INF < value < INF and type(value) is float:
                    now_s = monotonic()
                    cells = self._cells
                    cells[offset] = value
                    cells[offset + 1] = now_s
                    if current_context():
                        self._offer(offset, value, attributes)
                    return
        except Exception as error:  # a new series, an odd amount, odd attributes
            raise_interruption(error)
        self._slow(amount, attributes, context)

    def bind(self, attributes: AttributeMapping | None = None) -> BoundGauge:
        """Resolve *attributes* once; the handle's `set` is several times faster."""
        return self._bind(attributes, BoundGauge)

    def increase(self, bound: BoundGauge, amount: Any) -> None:
        """Add to the value that this worker has set, if the handle does not know its cells. Never raises."""
        value = self._check(amount)
        if value is not None:
            self.add_up(bound, value)

    def add_up(self, bound: Bound, value: float) -> None:
        """Add *value* unchecked to the value that this worker has set, and set the cells of *bound*."""
        for aggregator in self.aggregators():
            key = aggregator.identify(bound.attributes)

            def change(aggregator: Aggregator = aggregator, key: bytes = key) -> None:
                series = aggregator.find(key)
                is_gauge = aggregator.stream.kind is Kind.GAUGE
                aggregator.apply(series, series.cells[series.offset] + value if is_gauge else value)

            self._owner.worker.exclusively(change)
        self._teach(bound)


class BoundHistogram(Bound):
    """A histogram's attribute set."""

    __slots__ = ()

    def record(self, amount: float) -> None:
        """Record *amount*, which is not negative, in the instrument's unit."""
        try:
            value = amount + 0.0
            if 0.0 <= value < INF and type(value) is float:
                cells, offset, bounds = self._cells, self._offset, self._bounds
                bucket, sum_at = offset + bisect_left(bounds, value), offset + len(bounds) + 1
                # No call between these two: what a signal handler raises comes before both or after both.
                cells[bucket] += 1.0
                cells[sum_at] += value
                if self._has_extremes:
                    note_extremes(cells, sum_at, value)
                if current_context():
                    self.offer(value)
                return
        except Exception as error:  # not resolved yet, or an odd amount
            raise_interruption(error)
        self._slow(amount)

    observe = record

    def time(self) -> Timing:
        """Record the seconds of a block or a call, in a `with` or as a decorator."""
        return Timing(self.record)


class Histogram(Instrument[BoundHistogram], metrics.Histogram):
    """A distribution. See `opentelemetry.metrics.Histogram`."""

    _kind = Kind.HISTOGRAM

    def record(
        self, amount: float, attributes: AttributeMapping | None = None, context: Context | None = None
    ) -> None:
        """Record *amount*, which is not negative, to the series of *attributes*. Never raises."""
        try:
            if context is None:
                value = amount + 0.0
                offset = self._offsets[(*attributes, *attributes.values()) if attributes else ()]
                if 0.0 <= value < INF and type(value) is float:
                    cells, bounds = self._cells, self._bounds
                    bucket = offset + bisect_left(bounds, value)
                    sum_at = offset + len(bounds) + 1
                    # No call between these two, as above.
                    cells[bucket] += 1.0
                    cells[sum_at] += value
                    if self._has_extremes:
                        note_extremes(cells, sum_at, value)
                    if current_context():
                        self._offer(offset, value, attributes)
                    return
        except Exception as error:  # a new series, an odd amount, odd attributes
            raise_interruption(error)
        self._slow(amount, attributes, context)

    def bind(self, attributes: AttributeMapping | None = None) -> BoundHistogram:
        """Resolve *attributes* once; the handle's `record` is several times faster."""
        return self._bind(attributes, BoundHistogram)
