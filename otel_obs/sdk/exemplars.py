"""Which measurements are kept as exemplars, with the trace that they were made in."""

from __future__ import annotations

from collections.abc import Collection
from time import monotonic, time_ns
from typing import Any

from opentelemetry.context import get_current
from opentelemetry.trace import get_current_span

from otel_obs.cells.attributes import frozen, label_value
from otel_obs.cells.exemplar import pack, pack_span
from otel_obs.cells.layout import Kind
from otel_obs.sdk.aggregate import AggregateSeries, Aggregator
from otel_obs.sdk.asked_callbacks import Observed

_SDK_CLASSES = {
    Kind.COUNTER: "_SumAggregation",
    Kind.UPDOWN: "_SumAggregation",
    Kind.GAUGE: "_LastValueAggregation",
    Kind.HISTOGRAM: "_ExplicitBucketHistogramAggregation",
    Kind.EXPONENTIAL: "_ExponentialBucketHistogramAggregation",
}
_PERIOD_S = 1.0
_MOST_A_PERIOD = 50


_NOT_BEGUN = (0.0, 1)
_MOST_BUCKETS = 4096


class ReplacementPace:
    """Limits how often the exemplar of a bucket is replaced: 50 times a second.

    A scrape sees only the latest, and to write one takes ten times as long as to count the measurement. Below
    that rate, the exemplar is always that of the latest measurement.
    """

    def __init__(self) -> None:
        self._spent: dict[int, tuple[float, int]] = {}  # the end of the period, and how many are left in it

    def is_spent(self, bucket: int) -> bool:
        """Whether *bucket* has reached the limit of this second."""
        until_s, left = self._spent.get(bucket, _NOT_BEGUN)
        return left <= 0 and monotonic() < until_s

    def spend(self, bucket: int) -> None:
        """Count an exemplar of *bucket*."""
        now_s = monotonic()
        until_s, left = self._spent.get(bucket, _NOT_BEGUN)
        if now_s < until_s:
            self._spent[bucket] = until_s, left - 1
            return
        if len(self._spent) >= _MOST_BUCKETS:  # most are of series that are gone, or of an earlier period
            self._spent.clear()
        self._spent[bucket] = now_s + _PERIOD_S, _MOST_A_PERIOD - 1


class ExemplarRules:
    """The provider's exemplar filter, and the reservoirs of the SDK's readers.

    Args:
        exemplar_filter: One of the SDK's; None is the trace-based one.
    """

    def __init__(self, exemplar_filter: Any) -> None:
        name = type(exemplar_filter).__name__
        self._filter = None if name in ("NoneType", "TraceBasedExemplarFilter") else exemplar_filter
        self._is_off = name == "AlwaysOffExemplarFilter"
        self.is_always_on = self._filter is not None and not self._is_off
        self._pace = ReplacementPace()

    def offer(
        self,
        readers: Collection[Any],
        aggregator: Aggregator,
        series: AggregateSeries | int,
        value: float,
        attributes: Any,
        context: Any,
    ) -> None:
        """Keep the measurement for every worker and each reader's reservoir, if the filter says so."""
        if self._is_off or not (readers or aggregator.has_exemplars):
            return
        offset = series if isinstance(series, int) else series.offset
        bucket = offset + aggregator.slot(value)
        is_spent = self._pace.is_spent(bucket)
        if is_spent and not readers:
            return
        context = context or get_current()
        span = get_current_span(context).get_span_context()
        now_ns = time_ns()
        if self._filter is None:
            if not span.trace_flags.sampled:
                return
        elif not self._filter.should_sample(value, now_ns, attributes, context):
            return
        found = aggregator.at(series) if isinstance(series, int) else series
        if found is None:
            return
        if not is_spent:
            self._pace.spend(bucket)
            self._keep(aggregator, found, value, now_ns / 1e9, span, _dropped(aggregator, attributes))
        if aggregator.stream.kind is Kind.EXPONENTIAL and not value:
            return  # a zero is in no bucket, and the SDK's reservoirs are not offered it
        for reader in readers:
            if found.reservoirs is None:
                found.reservoirs = {}
            reservoir = found.reservoirs.get(reader)
            if reservoir is None:
                reservoir = found.reservoirs[reader] = reservoir_of(aggregator)
            reservoir.offer(value, now_ns, attributes, context)

    def is_sampled(self, observed: Observed, now_ns: int) -> bool:
        """Whether the filter wants an exemplar of what a callback has reported."""
        if self._is_off:
            return False
        context = observed.context
        if self._filter is not None:
            return bool(self._filter.should_sample(observed.value, now_ns, observed.attributes, context))
        return get_current_span(context).get_span_context().trace_flags.sampled

    @staticmethod
    def _keep(
        aggregator: Aggregator,
        series: AggregateSeries,
        value: float,
        unix_s: float,
        span: Any,
        labels: dict[str, str],
    ) -> None:
        if span.is_valid and not labels:
            packed = pack_span(value, unix_s, span.trace_id, span.span_id)
        elif span.is_valid:
            ids = {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
            packed = pack(value, unix_s, labels | ids)
        else:
            packed = pack(value, unix_s, labels)
        aggregator.worker.exclusively(lambda: aggregator.keep_exemplar(series, value, packed))


def _dropped(aggregator: Aggregator, attributes: Any) -> dict[str, str]:
    """The recorded attributes that a view has dropped from the series."""
    keys = aggregator.plan.keys
    if keys is None or not attributes:
        return {}
    return {str(key): label_value(frozen(value)) for key, value in attributes.items() if key not in keys}


def reservoir_of(aggregator: Aggregator) -> Any:
    """The exemplar reservoir that the SDK would make for this stream."""
    from opentelemetry.sdk.metrics._internal import aggregation
    from opentelemetry.sdk.metrics._internal.view import _default_reservoir_factory

    factory = getattr(aggregator.plan.view, "_exemplar_reservoir_factory", _default_reservoir_factory)
    stream = aggregator.stream
    builder: Any = factory(getattr(aggregation, _SDK_CLASSES[stream.kind]))
    if stream.kind is Kind.HISTOGRAM:
        return builder(boundaries=stream.bounds)
    if stream.kind is Kind.EXPONENTIAL:
        return builder(size=min(20, int(stream.bounds[0])))
    return builder()
