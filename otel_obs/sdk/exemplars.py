"""Which measurements are kept with the trace that they were made in."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from opentelemetry import trace
from opentelemetry.context import get_current

from otel_obs.cells.layout import Kind
from otel_obs.sdk.aggregate import Aggregator, Series

_SDK_CLASSES = {
    Kind.COUNTER: "_SumAggregation",
    Kind.UPDOWN: "_SumAggregation",
    Kind.GAUGE: "_LastValueAggregation",
    Kind.HISTOGRAM: "_ExplicitBucketHistogramAggregation",
    Kind.EXPONENTIAL: "_ExponentialBucketHistogramAggregation",
}


class Exemplars:
    """The provider's exemplar filter, and the reservoirs of the SDK's readers.

    Args:
        exemplar_filter: One of the SDK's; None is the trace-based one.
    """

    def __init__(self, exemplar_filter: Any) -> None:
        name = type(exemplar_filter).__name__
        self._filter = None if name in ("NoneType", "TraceBasedExemplarFilter") else exemplar_filter
        self._is_off = name == "AlwaysOffExemplarFilter"
        self.is_always_on = self._filter is not None and not self._is_off

    def offer(
        self,
        readers: Iterable[Any],
        aggregator: Aggregator,
        series: Series | int,
        value: float,
        attributes: Any,
        context: Any,
    ) -> None:
        """Keep the measurement for every worker and each reader's reservoir, if the filter says so."""
        if self._is_off:
            return
        context = context or get_current()
        now_ns = time.time_ns()
        if self._filter is not None:
            if not self._filter.should_sample(value, now_ns, attributes, context):
                return
        elif not _is_sampled(context):
            return
        if isinstance(series, int):
            found = aggregator.at(series)
            if found is None:
                return
            series = found
        if series.reservoirs is None:
            series.reservoirs = {}
        span = trace.get_current_span(context).get_span_context()
        labels = _filtered(series, attributes)
        if span.is_valid:
            labels |= {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
        aggregator.worker.exclusively(lambda: aggregator.keep_exemplar(series, value, now_ns / 1e9, labels))
        for reader in readers:
            reservoir = series.reservoirs.get(reader)
            if reservoir is None:
                reservoir = series.reservoirs[reader] = _reservoir(aggregator)
            reservoir.offer(value, now_ns, attributes, context)


def _filtered(series: Series, attributes: Any) -> dict[str, str]:
    """What was recorded and is no attribute of the series, since a view has dropped it."""
    kept = series.attributes
    return {str(key): str(value) for key, value in (attributes or {}).items() if key not in kept}


def _is_sampled(context: Any) -> bool:
    span = trace.get_current_span(context)
    return span is not trace.INVALID_SPAN and span.get_span_context().trace_flags.sampled


def _reservoir(aggregator: Aggregator) -> Any:
    """What the SDK would make for this stream."""
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
