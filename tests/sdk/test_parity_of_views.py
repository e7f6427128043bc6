"""The SDK is the oracle again: any views over any instruments of several meters, with any reader."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    DefaultAggregation,
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    LastValueAggregation,
    SumAggregation,
    View,
)

from otel_obs.sdk import MeterProvider
from tests.sdk.test_parity import AMOUNTS, CLASSES, DELTA, LOW_MEMORY, RESOURCE, SYNCHRONOUS, plain

METERS: list[tuple[str, str | None, str | None, dict[str, Any] | None]] = [
    ("parity", "1.0", "https://example.org/schema", {"team": "x"}),
    ("parity", "1.0", "https://example.org/schema", {"team": "y"}),
    ("parity", "2.0", None, None),
    ("other.lib", None, None, {"sizes": [1, 2]}),
]
AGGREGATIONS: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "default": DefaultAggregation,
    "drop": DropAggregation,
    "sum": SumAggregation,
    "last": LastValueAggregation,
    "explicit": lambda: ExplicitBucketHistogramAggregation([0, 1.5, 3]),
    "advised": ExplicitBucketHistogramAggregation,
    "without extremes": lambda: ExplicitBucketHistogramAggregation([2], record_min_max=False),
    "exponential": ExponentialBucketHistogramAggregation,
    "small": lambda: ExponentialBucketHistogramAggregation(max_size=3, max_scale=5),
}
# Callbacks report totals, which are no histogram: the SDK's readers raise for them.
PREFERRED = [
    (kind, name)
    for kind in range(len(CLASSES))
    for name in ("drop", "sum", "last", "explicit", "small")
    if kind < 3 or name in ("drop", "sum", "last")
]
ATTRIBUTES = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from(["k", "l", "m.n"]), st.sampled_from(["a", 1, True, 1.0]), max_size=3),
)
SYNC = st.tuples(
    st.sampled_from(METERS),
    st.sampled_from(sorted(SYNCHRONOUS)),
    st.sampled_from(["one", "One", "two.x", "http/req"]),
    st.sampled_from(["", "s", "By"]),
    st.sampled_from(["", "described", "otherwise"]),
    st.sampled_from([None, (1, 5, 10.5), ()]),
)
CALLBACKS = st.lists(
    st.tuples(
        st.sampled_from(["list", "iterator", "raising", "generator"]),
        st.lists(st.tuples(AMOUNTS, ATTRIBUTES), max_size=3),
    ),
    max_size=3,
)
ASYNC = st.tuples(
    st.sampled_from(METERS),
    st.sampled_from(["observable_counter", "observable_up_down_counter", "observable_gauge"]),
    st.sampled_from(["seen", "Seen", "one"]),
    st.sampled_from(["", "s"]),
    CALLBACKS,
)
VIEW = st.fixed_dictionaries(
    {"aggregation": st.sampled_from(sorted(AGGREGATIONS))},
    optional={
        "instrument_name": st.sampled_from(["*", "one", "One", "o*", "tw?.x", "seen", "*/req"]),
        "instrument_type": st.sampled_from(CLASSES),
        "instrument_unit": st.sampled_from(["s", "By"]),
        "meter_name": st.sampled_from(["parity", "other.lib", "par*"]),
        "meter_version": st.just("1.0"),
        "meter_schema_url": st.just("https://example.org/schema"),
        "name": st.sampled_from(["renamed", "Shared"]),
        "description": st.sampled_from(["of the view", ""]),
        "attribute_keys": st.sampled_from([frozenset(), frozenset({"k"}), frozenset({"k", "m.n"})]),
    },
)
READER = st.tuples(
    st.sampled_from([None, DELTA, LOW_MEMORY]), st.lists(st.sampled_from(PREFERRED), max_size=2)
)
STEP = st.one_of(
    st.tuples(st.just("record"), st.integers(0, 9), AMOUNTS, ATTRIBUTES),
    st.tuples(st.just("collect"), st.integers(0, 2), st.none(), st.none()),
)


def callback(kind: str, reported: list[tuple[Any, Any]]) -> Any:
    observations = [Observation(*each) for each in reported]

    def raising(_: CallbackOptions) -> Iterator[Observation]:
        yield from observations
        raise ValueError("a callback fails")

    def generator() -> Iterator[list[Observation]]:
        while True:
            yield observations

    return {
        "list": lambda _: observations,
        "iterator": lambda _: iter(observations),
        "raising": raising,
        "generator": generator(),
    }[kind]


def view_of(given_: dict[str, Any]) -> View | None:
    """None where the SDK refuses it: a view needs a criterion, and one with a name may have no wildcard."""
    try:
        return View(**{**given_, "aggregation": AGGREGATIONS[given_["aggregation"]]()})
    except Exception:  # a bare one
        return None


def collected(provider_class: Any, made: dict[str, Any]) -> list[Any]:
    readers = [
        InMemoryMetricReader(
            preferred_temporality=temporality,
            preferred_aggregation={CLASSES[kind]: AGGREGATIONS[name]() for kind, name in preferred},
        )
        for temporality, preferred in made["readers"]
    ]
    provider = provider_class(
        readers,
        resource=RESOURCE,
        shutdown_on_exit=False,
        views=[view for view in map(view_of, made["views"]) if view is not None],
    )
    records = []
    for meter, kind, name, unit, description, bounds in made["synchronous"]:
        create, record = SYNCHRONOUS[kind]
        advice = {} if kind != "histogram" else {"explicit_bucket_boundaries_advisory": bounds}
        instrument = getattr(provider.get_meter(*meter), create)(name, unit, description, **advice)
        records.append(getattr(instrument, record))
    for meter, kind, name, unit, callbacks in made["asynchronous"]:
        create = f"create_{kind}"
        getattr(provider.get_meter(*meter), create)(name, [callback(*each) for each in callbacks], unit)
    found = []
    for what, number, amount, attributes in made["steps"]:
        if what == "collect":
            found.append(readers[number % len(readers)].get_metrics_data())
        elif records:
            records[number % len(records)](amount, attributes)
    found += [reader.get_metrics_data() for reader in readers]
    return [by_scope(plain(data)) for data in found]


def by_scope(data: Any) -> Any:
    return data and (*data[:2], sorted(data[2], key=repr))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(
    st.fixed_dictionaries(
        {
            "readers": st.lists(READER, min_size=1, max_size=3),
            "views": st.lists(VIEW, max_size=3),
            "synchronous": st.lists(SYNC, max_size=4),
            "asynchronous": st.lists(ASYNC, max_size=2),
            "steps": st.lists(STEP, max_size=15),
        }
    )
)
def test_any_views_give_the_same_metrics_data(made: dict[str, Any]) -> None:
    logging.disable(logging.CRITICAL)
    try:
        assert collected(MeterProvider, made) == collected(sdk.MeterProvider, made)
    finally:
        logging.disable(logging.NOTSET)
