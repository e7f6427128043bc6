"""From cells to the SDK's `MetricsData`, for one reader: cumulative, or the difference since last time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from opentelemetry.metrics import CallbackOptions
from opentelemetry.sdk.metrics import MetricsTimeoutError, export
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_obs.cells import exponential
from otel_obs.cells.attributes import decode_attributes
from otel_obs.cells.layout import Kind, Scope, Stream
from otel_obs.errors import DeclarationError
from otel_obs.host.weak import WeakObjects
from otel_obs.sdk.aggregate import AggregateSeries, Aggregator
from otel_obs.sdk.asked_callbacks import AskedCallback, Observed, together
from otel_obs.sdk.exemplars import ExemplarRules, reservoir_of
from otel_obs.sdk.observables import Observable, total
from otel_obs.sdk.previous import WITH_EXTREMES, PreviousCollection

AskCallback = Callable[[Sequence[tuple[AskedCallback, Callable[[], object]]], float], None]

_DELTA = export.AggregationTemporality.DELTA
_CALLBACK_MS = 10_000
_claimed: WeakObjects[Any] = WeakObjects()
_NO_EXTREMES = (math.inf, -math.inf)


class StreamCollector:
    """Collects for one reader, which has a temporality and an aggregation for each class of instrument.

    Raises:
        DeclarationError: A provider has the reader already.
    """

    def __init__(self, reader: Any) -> None:
        if reader in _claimed:
            raise DeclarationError(
                type(reader).__name__, "belongs to a MeterProvider already", "make a reader for each"
            )
        _claimed.add(reader)
        self.reader = reader
        self.temporality = _by_class_name(reader._instrument_class_temporality)
        self.preferred = {
            name: aggregation
            for name, aggregation in _by_class_name(reader._instrument_class_aggregation).items()
            if type(aggregation).__name__ != "DefaultAggregation"
        }
        self.forget()

    def release(self) -> None:
        """Let another provider have the reader."""
        _claimed.discard(self.reader)

    def forget(self) -> None:
        """Start over, as after a fork."""
        self._previous: dict[tuple[int, bytes], PreviousCollection] = {}
        self._collected_ns = 0

    def is_delta(self, instrument: Any) -> bool:
        """Whether the reader wants the difference since its last collection."""
        return self.temporality[type(instrument).__name__] is _DELTA

    def observe(
        self, observables: Iterable[Observable], timeout_ms: float, ask: AskCallback
    ) -> dict[Observable, list[Observed]]:
        """Run the callbacks of *observables*, all before anything is read, since they may record.

        Args:
            observables: The instruments whose callbacks are run.
            timeout_ms: How long all of them may take.
            ask: Runs functions that call the callbacks, and returns without waiting longer for hanging ones.

        Raises:
            MetricsTimeoutError: They took longer than that.
        """
        deadline_s = time.monotonic() + timeout_ms / 1e3
        observed: dict[AskedCallback, list[Observed]] = {}
        asked: list[AskedCallback] = []

        def question(callback: AskedCallback) -> Callable[[], None]:
            def put() -> None:
                asked.append(callback)
                left_ms = max((deadline_s - time.monotonic()) * 1e3, 0.0)
                observed[callback] = callback.observe(CallbackOptions(min(left_ms, _CALLBACK_MS)))

            return put

        callbacks = {each: list(each.callbacks) for each in observables}
        questions = [(each, question(each)) for every in callbacks.values() for each in every]
        ask(questions, min(timeout_ms, _CALLBACK_MS) / 1e3)
        if time.monotonic() >= deadline_s and asked:
            raise MetricsTimeoutError(f"{asked[-1]!r}: its callbacks ended after {timeout_ms:g} ms")
        given = dict(observed)  # a copy: a hanging callback may return at any time, and add to *observed*
        return {
            observable: together(every, given)
            for observable, every in callbacks.items()
            if not every or any(each in given for each in every)
        }

    def collect(
        self,
        instruments: Iterable[Any],
        observed: dict[Observable, list[Observed]],
        resource: Resource,
        readers: list[Any],
        exemplars: ExemplarRules,
    ) -> Any:
        """The SDK's `MetricsData` of *instruments*, or None where there is no data point."""
        now_ns = time.time_ns()
        by_scope: dict[Scope, list[Any]] = {}
        for instrument in instruments:
            metrics = self._metrics(instrument, observed.get(instrument, []), now_ns, readers, exemplars)
            if metrics:
                by_scope.setdefault(instrument.instrumentation_scope, []).extend(metrics)
        self._collected_ns = now_ns
        if not by_scope:
            return None
        scopes = [
            export.ScopeMetrics(described, metrics, described.schema_url or "")
            for described, metrics in ((_sdk_scope(scope), metrics) for scope, metrics in by_scope.items())
        ]
        return export.MetricsData([export.ResourceMetrics(resource, scopes, resource.schema_url)])

    def _metrics(
        self,
        instrument: Any,
        observed: list[Observed],
        now_ns: int,
        readers: list[Any],
        exemplars: ExemplarRules,
    ) -> list[Any]:
        is_delta = self.is_delta(instrument)
        visible = [
            aggregator for aggregator in instrument.aggregators() if self._sees(instrument, aggregator)
        ]
        if isinstance(instrument, Observable):
            points = [
                (aggregator, self._observed_points(aggregator, observed, is_delta, now_ns, exemplars))
                for aggregator in visible
            ]
        else:
            points = [
                (aggregator, self._recorded_points(aggregator, is_delta, now_ns, readers))
                for aggregator in visible
            ]
        temporality = self.temporality[type(instrument).__name__]
        return [
            export.Metric(
                aggregator.stream.name,
                aggregator.stream.description,
                aggregator.stream.unit,
                _data(aggregator.stream.kind, data_points, temporality),
            )
            for aggregator, data_points in points
            if data_points
        ]

    def _sees(self, instrument: Any, aggregator: Aggregator) -> bool:
        plan = aggregator.plan
        if plan.reader is not None:
            return plan.reader is self.reader
        return not (plan.is_default and type(instrument).__name__ in self.preferred)

    def _recorded_points(
        self, aggregator: Aggregator, is_delta: bool, now_ns: int, readers: list[Any]
    ) -> list[Any]:
        points = []
        for series in list(aggregator.series.values()):
            values = series.cells[series.offset : series.offset + aggregator.stream.cells].tolist()
            started_ns = series.created_ns
            if aggregator.stream.kind in WITH_EXTREMES:
                values[-2:] = self._extremes(aggregator, series, is_delta, readers)
            if is_delta:
                previous = self._at(aggregator, series.key, series.created_ns, values)
                if not previous.is_changed(aggregator, series, values):
                    continue
                started_ns = max(series.created_ns, self._collected_ns)
                values = previous.advance(aggregator.stream, values)
            exemplars = self._exemplars(series)
            attributes = aggregator.own_attributes(series)
            points.append(_point(aggregator, attributes, started_ns, now_ns, values, exemplars))
        return points

    def _at(
        self, aggregator: Aggregator, key: bytes, started_ns: int, values: list[float]
    ) -> PreviousCollection:
        found = self._previous.get((id(aggregator), key))
        if found is None or found.started_ns != started_ns:
            found = self._previous[id(aggregator), key] = PreviousCollection(started_ns, [])
        return found

    def _exemplars(self, series: AggregateSeries) -> list[Any]:
        reservoir = (series.reservoirs or {}).get(self.reader)
        return reservoir.collect(series.attributes) if reservoir is not None else []

    def _extremes(
        self, aggregator: Aggregator, series: AggregateSeries, is_delta: bool, readers: list[Any]
    ) -> tuple[float, float]:
        """The extremes for this reader; those in the cells are taken out, and kept for every reader."""
        if not aggregator.plan.has_extremes:
            return _NO_EXTREMES
        at = series.offset + aggregator.stream.cells - 2
        # No call between these two: with a GIL, no thread records between the read and the reset.
        low, high = series.cells[at], series.cells[at + 1]
        series.cells[at], series.cells[at + 1] = _NO_EXTREMES
        if series.extremes is None:
            series.extremes = {}
        for reader in readers:
            known = series.extremes.get(reader, _NO_EXTREMES)
            series.extremes[reader] = min(low, known[0]), max(high, known[1])
        extremes = series.extremes[self.reader]
        if is_delta:
            series.extremes[self.reader] = _NO_EXTREMES
        return extremes

    def _observed_points(
        self,
        aggregator: Aggregator,
        observed: list[Observed],
        is_delta: bool,
        now_ns: int,
        exemplars: ExemplarRules,
    ) -> list[Any]:
        points = []
        sampled = [each for each in observed if exemplars.is_sampled(each, now_ns)]
        for key, value in total(aggregator, observed).items():
            previous = self._previous.get((id(aggregator), key))
            if previous is None:
                previous = self._previous[id(aggregator), key] = PreviousCollection(time.time_ns(), [0.0])
            started_ns, values = previous.started_ns, [value]
            if is_delta and aggregator.stream.kind is not Kind.GAUGE:
                started_ns, values = previous.collected_ns, [value - previous.values[0]]
                previous.collected_ns, previous.values = now_ns, [value]
            attributes = dict(decode_attributes(key))
            kept = [each for each in sampled if aggregator.identify(each.attributes) == key]
            if kept:
                previous.reservoir = previous.reservoir or reservoir_of(aggregator)
                for each in kept:
                    previous.reservoir.offer(each.value, now_ns, each.attributes or {}, each.context)
            found = previous.reservoir.collect(attributes) if previous.reservoir is not None else []
            points.append(_point(aggregator, attributes, started_ns, now_ns, values, found))
        return points


def _point(
    aggregator: Aggregator,
    attributes: dict[str, Any],
    started_ns: int,
    now_ns: int,
    values: list[float],
    exemplars: list[Any],
) -> Any:
    stream = aggregator.stream
    if stream.kind is Kind.HISTOGRAM:
        counts = tuple(map(int, values[:-3]))
        total_sum, low, high = values[-3:]
        return export.HistogramDataPoint(
            attributes,
            started_ns,
            now_ns,
            sum(counts),
            total_sum,
            counts,
            stream.bounds,
            low,
            high,
            exemplars,
        )
    if stream.kind is Kind.EXPONENTIAL:
        return _exponential_point(stream, attributes, (started_ns, now_ns), values, exemplars)
    start = None if stream.kind is Kind.GAUGE else started_ns
    return export.NumberDataPoint(attributes, start, now_ns, values[0], exemplars)  # type: ignore[arg-type]


def _exponential_point(
    stream: Stream,
    attributes: dict[str, Any],
    times_ns: tuple[int, int],
    values: list[float],
    exemplars: list[Any],
) -> Any:
    value = exponential.decode(values, int(stream.bounds[0]))
    has_buckets = bool(value.positive or value.negative)
    return export.ExponentialHistogramDataPoint(
        attributes,
        *times_ns,
        count=value.zero_count + sum(value.positive) + sum(value.negative),
        sum=value.sum,
        scale=value.scale if has_buckets else 0,
        zero_count=value.zero_count,
        positive=export.Buckets(value.positive_offset, value.positive or [0]),
        negative=export.Buckets(value.negative_offset, value.negative or [0]),
        flags=0,
        min=values[-2],
        max=values[-1],
        exemplars=exemplars,
    )


def _data(kind: Kind, points: list[Any], temporality: Any) -> Any:
    if kind is Kind.GAUGE:
        return export.Gauge(points)
    if kind is Kind.HISTOGRAM:
        return export.Histogram(points, temporality)
    if kind is Kind.EXPONENTIAL:
        return export.ExponentialHistogram(points, temporality)
    return export.Sum(points, temporality, kind is Kind.COUNTER)


def _sdk_scope(scope: Scope) -> InstrumentationScope:
    return InstrumentationScope(scope.name, scope.version, scope.schema_url, dict(scope.attributes))


def _by_class_name(mapping: dict[type, Any]) -> dict[str, Any]:
    return {key.__name__.lstrip("_"): value for key, value in mapping.items()}
