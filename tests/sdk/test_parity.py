"""The OpenTelemetry SDK is the oracle: the same calls give the same MetricsData."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    LastValueAggregation,
    SumAggregation,
    View,
)
from opentelemetry.sdk.resources import Resource

from otel_obs.sdk import MeterProvider

RESOURCE = Resource({"service.name": "parity"})
CLASSES = (
    sdk.Counter,
    sdk.UpDownCounter,
    sdk.Histogram,
    sdk.ObservableCounter,
    sdk.ObservableUpDownCounter,
    sdk.ObservableGauge,
)
DELTA: dict[type, AggregationTemporality] = dict.fromkeys(CLASSES, AggregationTemporality.DELTA)
LOW_MEMORY: dict[type, AggregationTemporality] = {
    sdk.Counter: AggregationTemporality.DELTA,
    sdk.Histogram: AggregationTemporality.DELTA,
}

# Binary fractions: sums of them are exact, whatever the order of the additions.
AMOUNTS = st.one_of(
    st.integers(-3, 2000),
    st.integers(-8, 4000).map(lambda number: number / 8),
    st.sampled_from([float("nan"), float("inf"), float("-inf"), True]),
)
VALUES = st.one_of(
    st.sampled_from(["a", "b", "", "1", "True", 'ü\n"\\']),
    st.sampled_from([0, 1, True, False, 1.0, 2.5]),
    st.sampled_from([["a", "b"], ("a", "b"), [1, 2], b"raw"]),
)
ATTRIBUTES = st.one_of(
    st.none(), st.dictionaries(st.sampled_from(["k", "l", "m.n", "K"]), VALUES, max_size=3)
)
SYNCHRONOUS = {
    "counter": ("create_counter", "add"),
    "up_down_counter": ("create_up_down_counter", "add"),
    "histogram": ("create_histogram", "record"),
    "gauge": ("create_gauge", "set"),
}
OBSERVABLE = {
    "observable_counter": "create_observable_counter",
    "observable_up_down_counter": "create_observable_up_down_counter",
    "observable_gauge": "create_observable_gauge",
}
VIEWS: dict[str, Callable[[], View]] = {
    "renamed": lambda: View(instrument_name="counter", name="renamed", description="another"),
    "one key": lambda: View(instrument_name="counter", attribute_keys={"k"}),
    "no keys": lambda: View(instrument_name="histogram", name="bare", attribute_keys=set()),
    "bounds": lambda: View(
        instrument_name="hist*", aggregation=ExplicitBucketHistogramAggregation([1, 2.5, 10])
    ),
    "no extremes": lambda: View(
        instrument_name="histogram", aggregation=ExplicitBucketHistogramAggregation([4], record_min_max=False)
    ),
    "dropped": lambda: View(instrument_type=sdk.UpDownCounter, aggregation=DropAggregation()),
    "histogram of a counter": lambda: View(
        instrument_type=sdk.Counter, name="spread", aggregation=ExplicitBucketHistogramAggregation([1, 5])
    ),
    "exponential": lambda: View(
        instrument_name="histogram", aggregation=ExponentialBucketHistogramAggregation()
    ),
    "small exponential": lambda: View(
        instrument_type=sdk.UpDownCounter,
        name="small",
        aggregation=ExponentialBucketHistogramAggregation(max_size=4, max_scale=8),
    ),
    "sum of a histogram": lambda: View(
        instrument_name="histogram", name="summed", aggregation=SumAggregation()
    ),
    "last of a counter": lambda: View(
        instrument_name="counter", name="last", aggregation=LastValueAggregation()
    ),
    "histogram of a callback": lambda: View(
        instrument_name="observable_counter", aggregation=ExplicitBucketHistogramAggregation([1])
    ),
    "keys of a callback": lambda: View(instrument_name="observable_*", attribute_keys={"l"}),
    "everything": lambda: View(instrument_name="*"),
    "by unit": lambda: View(instrument_unit="s", name="seconds"),
    "by meter": lambda: View(meter_name="parity", instrument_name="gauge", description="from the view"),
}
READERS: dict[str, Callable[[], InMemoryMetricReader]] = {
    "cumulative": InMemoryMetricReader,
    "delta": lambda: InMemoryMetricReader(preferred_temporality=DELTA),
    "low memory": lambda: InMemoryMetricReader(preferred_temporality=LOW_MEMORY),
    "preferring": lambda: InMemoryMetricReader(
        preferred_aggregation={
            sdk.Histogram: ExplicitBucketHistogramAggregation([3]),
            sdk.UpDownCounter: LastValueAggregation(),
        }
    ),
}

Step = tuple[str, Any, Any]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(list(SYNCHRONOUS)), AMOUNTS, ATTRIBUTES),
        st.tuples(
            st.sampled_from(list(OBSERVABLE)),
            st.lists(st.tuples(AMOUNTS, ATTRIBUTES), max_size=3),
            st.none(),
        ),
        st.tuples(st.just("collect"), st.integers(0, 2), st.none()),
    ),
    max_size=25,
)


@dataclass
class Run:
    """One implementation, driven by steps; what each collection gave, without times and order."""

    provider: Any
    readers: Sequence[InMemoryMetricReader]
    collected: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.observations: dict[str, list[tuple[Any, Any]]] = {name: [] for name in OBSERVABLE}
        self.meter = self.provider.get_meter("parity", "1.0", "https://example.org/schema", {"team": "x"})
        self.records: dict[str, Any] = {}
        for name, (create, record) in SYNCHRONOUS.items():
            unit = "s" if name == "histogram" else ""
            instrument = getattr(self.meter, create)(name, unit, f"the {name}")
            self.records[name] = getattr(instrument, record)
        for name, create in OBSERVABLE.items():
            getattr(self.meter, create)(name, [self._callback(name)], "By", f"the {name}")

    def _callback(self, name: str) -> Callable[[CallbackOptions], Any]:
        return lambda options: [Observation(*each) for each in self.observations[name]]

    def take(self, steps: Sequence[Step]) -> None:
        for what, amount, attributes in steps:
            if what == "collect":
                reader = self.readers[amount % len(self.readers)]
                self.collected.append((amount, plain(reader.get_metrics_data())))
            elif what in OBSERVABLE:
                self.observations[what] = amount
            else:
                self.records[what](amount, attributes)
        for number, reader in enumerate(self.readers):
            self.collected.append((number, plain(reader.get_metrics_data())))


def plain(data: Any) -> Any:
    """MetricsData as comparable values: everything but instants, and the order of metrics and points."""
    if data is None:
        return None
    resource = data.resource_metrics[0]
    scopes = [
        (
            scope.scope.name,
            scope.scope.version,
            scope.scope.schema_url,
            dict(scope.scope.attributes or {}),
            scope.schema_url,
            sorted((plain_metric(metric) for metric in scope.metrics), key=repr),
        )
        for scope in resource.scope_metrics
    ]
    return dict(resource.resource.attributes), resource.schema_url, scopes


def plain_metric(metric: Any) -> Any:
    data = metric.data
    return (
        metric.name,
        metric.description,
        metric.unit,
        type(data).__name__,
        getattr(data, "aggregation_temporality", None),
        getattr(data, "is_monotonic", None),
        sorted((plain_point(point) for point in data.data_points), key=repr),
    )


def plain_point(point: Any) -> Any:
    attributes = {key: (type(value).__name__, value) for key, value in point.attributes.items()}
    values: dict[str, Any] = {"attributes": sorted(attributes.items())}
    for name in ("value", "count", "sum", "min", "max"):
        if hasattr(point, name):
            values[name] = float(getattr(point, name))
    for name in ("bucket_counts", "explicit_bounds"):
        if hasattr(point, name):
            values[name] = [float(each) for each in getattr(point, name)]
    if hasattr(point, "scale"):
        values["zero_count"] = point.zero_count
        values["sides"] = [at_scale(side, point.scale) for side in (point.positive, point.negative)]
    return values, point.start_time_unix_nano is None, len(point.exemplars)


def at_scale(side: Any, scale: int, common: int = -10) -> dict[int, int]:
    """Bucket counts at one coarse scale: which finer one was chosen depends on when was collected."""
    counts: dict[int, int] = {}
    for index, count in enumerate(side.bucket_counts, side.offset):
        if count:
            coarse = index >> (scale - common)
            counts[coarse] = counts.get(coarse, 0) + count
    return counts


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=STEPS,
    views=st.lists(st.sampled_from(sorted(VIEWS)), max_size=3, unique=True),
    readers=st.lists(st.sampled_from(sorted(READERS)), min_size=1, max_size=3),
)
def test_the_same_calls_give_the_same_metrics_data(
    steps: list[Step], views: list[str], readers: list[str]
) -> None:
    logging.disable(logging.WARNING)
    runs = []
    for provider_class in (sdk.MeterProvider, MeterProvider):
        made = [READERS[name]() for name in readers]
        provider = provider_class(
            metric_readers=made,
            resource=RESOURCE,
            shutdown_on_exit=False,
            views=[VIEWS[name]() for name in views],
        )
        run = Run(provider, made)
        run.take(steps)
        runs.append(run)
    logging.disable(logging.NOTSET)
    theirs, ours = runs
    assert ours.collected == theirs.collected


@pytest.mark.parametrize("name", ["", "1st", "has space", "x" * 256, "ümlaut"])
def test_an_invalid_name_is_refused_by_both(name: str) -> None:
    for provider in (sdk.MeterProvider(shutdown_on_exit=False), MeterProvider(shutdown_on_exit=False)):
        with pytest.raises(Exception, match="."):
            provider.get_meter("m").create_counter(name)
