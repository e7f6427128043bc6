"""Which streams the SDK's views make of an instrument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.metrics import Asynchronous

from otel_obs.cells.layout import Kind, Stream
from otel_obs.host.once import LogOnce
from otel_obs.sdk.aggregate import AggregationPlan, check_bounds

_once = LogOnce()

DEFAULT_BOUNDS = (0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1e3, 2.5e3, 5e3, 7.5e3, 1e4)
"""Source: OpenTelemetry metrics SDK specification, Explicit Bucket Histogram Aggregation."""

_ChosenAggregation = tuple[Kind, tuple[float, ...]] | None
_DEFAULTS = ("NoneType", "DefaultAggregation")
_HISTOGRAMS = ("ExplicitBucketHistogramAggregation", "ExponentialBucketHistogramAggregation")


def plans_of(
    instrument: Any, views: Sequence[Any], preferences: Sequence[tuple[Any, Any]]
) -> list[AggregationPlan]:
    """The streams of *instrument*: one for each view that matches, or one by default.

    Args:
        instrument: One of ours.
        views: The SDK's `View`s.
        preferences: Readers, each with the aggregation that it prefers for this class of instrument.
    """
    matching: list[Any] = [
        view for view in views if _matches(view, instrument) and _is_compatible(view, instrument)
    ]
    plans = []
    for view in matching or [None]:
        plans.append(_plan(instrument, view, getattr(view, "_aggregation", None)))
        if type(getattr(view, "_aggregation", None)).__name__ in _DEFAULTS:
            plans += [_plan(instrument, view, preferred, reader) for reader, preferred in preferences]
    return [plan for plan in plans if plan is not None]


def _matches(view: Any, instrument: Any) -> bool:
    return bool(view._match(_sdk_twin(instrument)))


def _sdk_twin(instrument: Any) -> Any:
    """The SDK's own instrument of the same kind: views may ask for its class."""
    from opentelemetry.metrics._internal.instrument import _MetricsHistogramAdvisory
    from opentelemetry.sdk.metrics._internal import instrument as stock_instruments

    twin_class = getattr(stock_instruments, "_" + type(instrument).__name__)
    twin = twin_class(
        name=instrument.name,
        instrumentation_scope=instrument.instrumentation_scope,
        measurement_consumer=None,
        unit=instrument.unit,
        description=instrument.description,
    )
    if instrument.boundaries is not None:
        twin._advisory = _MetricsHistogramAdvisory(explicit_bucket_boundaries=instrument.boundaries)
    return twin


def _is_compatible(view: Any, instrument: Any) -> bool:
    is_asked = isinstance(instrument, Asynchronous)
    if is_asked and type(view._aggregation).__name__ in _HISTOGRAMS:
        _once.warning(
            (view._name or view._instrument_name, instrument.name),
            "view %r is not applied to instrument %r: callbacks report totals, which are no histogram",
            view._name or view._instrument_name,
            instrument.name,
        )
        return False
    return True


def _plan(instrument: Any, view: Any, aggregation: Any, reader: object = None) -> AggregationPlan | None:
    chosen = _AGGREGATIONS[type(aggregation).__name__](instrument, aggregation)
    if chosen is None:
        return None
    kind, bounds = chosen
    stream = Stream(
        kind,
        getattr(view, "_name", None) or instrument.name,
        instrument.unit,
        getattr(view, "_description", None) or instrument.description,
        instrument.instrumentation_scope,
        bounds,
        instrument.merge,
    )
    keys = getattr(view, "_attribute_keys", None)
    return AggregationPlan(
        stream,
        frozenset(keys) if keys is not None else None,
        instrument.translate,
        has_extremes=getattr(aggregation, "_record_min_max", True),
        reader=reader,
        is_default=reader is None and type(aggregation).__name__ in _DEFAULTS,
        view=view,
    )


def _default(instrument: Any, aggregation: Any) -> _ChosenAggregation:
    if instrument._kind is Kind.HISTOGRAM:
        return _explicit(instrument, None)
    return instrument._kind, ()


def _explicit(instrument: Any, aggregation: Any) -> _ChosenAggregation:
    bounds = aggregation._boundaries if aggregation is not None else None
    if bounds is None:
        bounds = instrument.boundaries
    return Kind.HISTOGRAM, check_bounds(instrument.name, DEFAULT_BOUNDS if bounds is None else bounds)


def _sum(instrument: Any, aggregation: Any) -> _ChosenAggregation:
    return Kind.COUNTER if instrument._kind is Kind.COUNTER else Kind.UPDOWN, ()


def _last_value(instrument: Any, aggregation: Any) -> _ChosenAggregation:
    return Kind.GAUGE, ()


def _exponential(instrument: Any, aggregation: Any) -> _ChosenAggregation:
    return Kind.EXPONENTIAL, (float(aggregation._max_size), float(aggregation._max_scale))


def _drop(instrument: Any, aggregation: Any) -> _ChosenAggregation:
    return None


_AGGREGATIONS = {
    "NoneType": _default,
    "DefaultAggregation": _default,
    "ExplicitBucketHistogramAggregation": _explicit,
    "ExponentialBucketHistogramAggregation": _exponential,
    "SumAggregation": _sum,
    "LastValueAggregation": _last_value,
    "DropAggregation": _drop,
}
