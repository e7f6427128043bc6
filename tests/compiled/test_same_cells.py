"""Any sequence of calls gives the same cells, series, and drops, compiled or not."""

from __future__ import annotations

import math
from collections import OrderedDict
from types import MappingProxyType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import attach, detach, set_value

from otel_obs import compiled
from otel_obs.cells.layout import Kind
from otel_obs.sdk import MeterProvider


class Text(str):
    """A string that is none exactly."""


class Likes(dict[str, Any]):
    """A dictionary that is none exactly."""


BOUNDS = (0.0, 0.5, 1.0, 2.5)
KEYS = st.sampled_from(["a", "b", "key", "키", Text("a"), "long" * 600])
VALUES = st.one_of(
    st.sampled_from(["x", "y", "", "값", Text("x"), True, False, None, 0.0, -0.0, (1, "x"), "z" * 3_000]),
    st.integers(-2, 2),
    st.sampled_from([2**70, 2**61 - 1, 2**61]),
    st.floats(allow_nan=True),
)
ATTRIBUTES = st.one_of(
    st.none(),
    st.dictionaries(KEYS, VALUES, max_size=3),
    st.dictionaries(KEYS, VALUES, max_size=2).map(MappingProxyType),
    st.dictionaries(KEYS, VALUES, max_size=2).map(OrderedDict),
    st.dictionaries(KEYS, VALUES, max_size=2).map(Likes),
    st.just({str(number): number for number in range(40)}),
    st.sampled_from([5, "text", [("a", 1)], {3: "x"}]),
)
AMOUNTS = st.one_of(
    st.integers(-3, 5),
    st.floats(),
    st.sampled_from([True, 2**53 + 1, 2**2000, "7", "x", None, -0.0, 0.0, math.nan, 1e308, Text("3")]),
)
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["plain", "named", "bound", "bound by name", "labels", "context", "remove", "held"]),
        st.sampled_from(["c", "u", "g", "h"]),
        AMOUNTS,
        ATTRIBUTES,
    ),
    max_size=25,
)


def apply(calls: list[tuple[str, str, Any, Any]]) -> tuple[Any, ...]:
    """Make *calls*; what is there afterwards, and what each has raised."""
    provider = MeterProvider(shutdown_on_exit=False, cardinality_limit=6)
    meter: Any = provider.get_meter("m")
    instruments = {
        "c": meter.create_counter("c"),
        "u": meter.create_up_down_counter("u"),
        "g": meter.create_gauge("g"),
        "h": meter.create_histogram("h", explicit_bucket_boundaries_advisory=BOUNDS),
    }
    verbs = {"c": "add", "u": "add", "g": "set", "h": "record"}
    held: list[Any] = []
    raised = []
    for way, name, amount, attributes in calls:
        instrument, verb = instruments[name], verbs[name]
        try:
            if way == "plain":
                getattr(instrument, verb)(amount, attributes)
            elif way == "named":
                getattr(instrument, verb)(amount, attributes=attributes)
            elif way == "context":
                token = attach(set_value("something", 1))
                try:
                    getattr(instrument, verb)(amount, attributes)
                finally:
                    detach(token)
            elif way == "remove":
                instrument.remove(attributes)
            elif way == "labels":
                getattr(instrument.labels(**{str(key): each for key, each in attributes.items()}), verb)(
                    amount
                )
            elif way == "held" and held:
                handle, verb = held[-1]
                getattr(handle, verb)(amount)
            else:
                handle = instrument.bind(attributes)
                held.append((handle, verb))
                for _ in range(2):
                    if way == "bound":
                        getattr(handle, verb)(amount)
                    else:
                        getattr(handle, verb)(amount=amount)
        except Exception as error:
            raised.append((type(error), str(error)))
    series = []
    for name, instrument in instruments.items():
        for aggregator in instrument.aggregators():
            stream = aggregator.stream
            # When a gauge was set differs from one run to the next.
            width = 1 if stream.kind is Kind.GAUGE else stream.cells
            series += [
                (name, key, [cell.hex() for cell in each.cells[each.offset : each.offset + width].tolist()])
                for key, each in aggregator.series.items()
            ]
    return series, provider.dropped, raised


@settings(max_examples=40, deadline=None)
@given(CALLS)
def test_any_sequence_of_calls(calls: list[tuple[str, str, Any, Any]]) -> None:
    compiled.choose(True)
    ours = apply(calls)
    compiled.choose(False)
    assert apply(calls) == ours


PLAIN = st.one_of(
    st.sampled_from(["x", "y", "키"]), st.integers(-2, 2), st.booleans(), st.sampled_from([1.5, 1.0])
)
ENTRIES = st.dictionaries(st.sampled_from(["a", "b", "c"]), PLAIN, max_size=3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["learn", "forget", "get", "clear"]), ENTRIES, st.integers(0, 9))))
def test_the_table_is_a_dictionary_that_tells_types_apart(
    steps: list[tuple[str, dict[str, Any], int]],
) -> None:
    table, model = compiled.recording.Offsets(), dict[Any, int]()
    for what, attributes, offset in steps:
        key = (*attributes, *attributes.values())
        typed = (key, tuple(map(type, key)))
        if what == "learn":
            assert table.learn(key, offset)
            model[typed] = offset
        elif what == "forget":
            table.forget(offset)
            model = {each: known for each, known in model.items() if known != offset}
        elif what == "clear" and offset == 0:
            table.clear()
            model.clear()
        assert table.get(key) == model.get(typed)
        assert len(table) == len(model)
    assert all(table[key] == offset for (key, _), offset in model.items())


def test_a_table_of_many_forgets_what_is_asked_and_nothing_else() -> None:
    table = compiled.recording.Offsets()
    for number in range(5_000):
        table.learn(("n", number), number % 50)
    for offset in range(0, 50, 2):
        table.forget(offset)
    assert [table.get(("n", number)) for number in range(5_000)] == [
        None if number % 2 == 0 else number % 50 for number in range(5_000)
    ]


PROMETHEUS_CALLS = st.lists(
    st.tuples(
        st.sampled_from(["inc", "dec", "set", "observe", "summary", "latest", "latest inc", "counter"]),
        AMOUNTS,
        st.sampled_from([("x",), ("y",), (1,), (True,), (None,), (Text("x"),), (), ("x", "y")]),
        st.booleans(),
    ),
    max_size=20,
)


def apply_to_prometheus(calls: list[tuple[str, Any, tuple[Any, ...], bool]]) -> tuple[Any, ...]:
    """Make *calls*; the samples afterwards, and what each has raised."""
    from otel_obs import prometheus

    registry: Any = prometheus.CollectorRegistry()
    prometheus.share(registry)
    options: dict[str, Any] = {"labelnames": ["l"], "registry": registry}
    counter = prometheus.Counter("c", "c", **options)
    gauge = prometheus.Gauge("g", "g", **options)
    latest = prometheus.Gauge("latest", "g", multiprocess_mode="mostrecent", **options)
    histogram = prometheus.Histogram("h", "h", buckets=BOUNDS, **options)
    summary = prometheus.Summary("s", "s", **options)
    targets = {
        "inc": (gauge, "inc"),
        "dec": (gauge, "dec"),
        "set": (gauge, "set"),
        "observe": (histogram, "observe"),
        "summary": (summary, "observe"),
        "latest": (latest, "set"),
        "latest inc": (latest, "inc"),
        "counter": (counter, "inc"),
    }
    raised = []
    for what, amount, labels, is_named in calls:
        metric: Any
        metric, verb = targets[what]
        try:
            child = metric.labels(l=labels[0]) if is_named and labels else metric.labels(*labels)
            getattr(child, verb)(amount)
        except Exception as error:
            raised.append((type(error), str(error)))
    samples = [
        (sample.name, tuple(sorted(sample.labels.items())), float(sample.value).hex())
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]
    return samples, raised


@settings(max_examples=40, deadline=None)
@given(PROMETHEUS_CALLS)
def test_any_sequence_of_calls_of_the_client_s_manner(
    calls: list[tuple[str, Any, tuple[Any, ...], bool]],
) -> None:
    compiled.choose(True)
    ours = apply_to_prometheus(calls)
    compiled.choose(False)
    assert apply_to_prometheus(calls) == ours
