"""Series come and go: a table takes over the labels of the one before, and is written as if it were new."""

from __future__ import annotations

import operator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_obs.cells.attributes import canonical
from otel_obs.cells.layout import Kind, Stream
from otel_obs.cells.snapshot import Column, SeriesTable, Snapshot
from otel_obs.cells.view import MergedView
from otel_obs.exposition import OPENMETRICS, PROTOBUF, TEXT, Format, render
from otel_obs.sdk import MeterProvider

FORMATS = (TEXT, OPENMETRICS, Format("openmetrics2", "2.0.0"), PROTOBUF)
KEYS = ("a", "a.b", "a_b", "le")
ATTRIBUTES = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["1", 1, "2"]), max_size=3)
CHANGES = st.lists(st.tuples(st.sampled_from(["add", "add", "remove"]), ATTRIBUTES), max_size=6)


@given(st.lists(CHANGES, min_size=2, max_size=5))
@settings(max_examples=150, deadline=None)
def test_whatever_comes_and_goes_the_exposition_is_that_of_a_fresh_reader(rounds: list[list[Any]]) -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    meter: Any = provider.get_meter("shop")
    counter = meter.create_counter("c")
    histogram = meter.create_histogram("h", explicit_bucket_boundaries_advisory=(1.0,))
    view = MergedView(provider.worker)
    for changes in rounds:
        for what, attributes in changes:
            if what == "add":
                counter.add(1, attributes)
                histogram.record(0.5, attributes)
            else:
                counter.remove(attributes)
                histogram.remove(attributes)
        for format in FORMATS:
            old, new = view.snapshot(), MergedView(provider.worker).snapshot()
            assert b"".join(render(old, format)) == b"".join(render(new, format))
    provider.shutdown()


def test_only_the_labels_of_new_series_are_encoded() -> None:
    stream = Stream(Kind.GAUGE, "g")
    attributes = [canonical({"number": number}) for number in range(100)]

    def lines(table: SeriesTable) -> list[bytes]:
        return b"".join(render(Snapshot([Column(table, [1.0] * 99, {})], 1, 0))).splitlines()[2:]

    def blocks(table: SeriesTable) -> list[bytes]:
        (coded,) = table.scratch.values()
        return list(coded.labels)

    before = SeriesTable(stream, attributes[:99], [0.0] * 99)
    lines(before)
    after = SeriesTable(stream, attributes[1:], [0.0] * 99, before, [*range(1, 99), -1])
    assert lines(after) == [b'g{number="%d"} 1.0' % number for number in range(1, 100)]
    assert all(map(operator.is_, blocks(after), blocks(before)[1:]))
    assert after.left == {}
