"""Whatever is recorded, other implementations can read the exposition, and read what was recorded.

`FUZZ_EXAMPLES` sets the number of examples; there are few by default.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import exposition as client
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from otel_obs.cells.attributes import canonical
from otel_obs.cells.layout import Kind, Scope
from otel_obs.cells.snapshot import Column, Exemplar, ExponentialValue
from otel_obs.exposition import OPENMETRICS, PROTOBUF, TEXT, Format, Options
from otel_obs.exposition.names import Spelling, join_labels
from tests.exposition.build import column, rendered
from tests.exposition.schema import decode

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

ODD = st.text('a_.:%"\\\n\r\t {}#,=\0ü\ud800', max_size=6)
TEXTS = ODD | st.text(max_size=8)
KEYS = st.sampled_from(["a", "a.b", "a_b", "le", "quantile", "__name__", "job", "otel_scope_name"]) | TEXTS
FLOATS = st.floats() | st.sampled_from([0.0, 1.0, 999_999.0, 1e6, 5e9])
COUNTS = st.integers(0, 2_000_000).map(float)
VALUES = (
    TEXTS
    | st.booleans()
    | st.integers()
    | FLOATS
    | st.none()
    | st.binary(max_size=4)
    | st.lists(TEXTS | FLOATS | st.booleans(), max_size=3)
    | st.dictionaries(TEXTS, TEXTS | FLOATS, max_size=2)
)
ATTRIBUTES = st.dictionaries(KEYS, VALUES, max_size=4)
BOUNDS = st.lists(st.floats(allow_nan=False), max_size=4, unique=True).map(sorted)
SIDES = st.lists(st.integers(0, 5), max_size=6)
EXPONENTIALS = st.builds(
    ExponentialValue,
    st.integers(-10, 20),
    st.integers(0, 9),
    FLOATS,
    st.integers(-5000, 5000),
    SIDES,
    st.integers(-5000, 5000),
    SIDES,
)
SCOPES = st.sampled_from(
    [Scope(""), Scope("a"), Scope("a", "1"), Scope("b", "1", "x", canonical({"a.b": 1}))]
)
# prometheus_client's OpenMetrics parser stumbles over quotes and braces in an exemplar's labels.
READABLE = st.text(st.characters(blacklist_characters='"\\{}'), max_size=8)
EXEMPLARS = st.builds(
    Exemplar,
    st.integers(0, 6),
    FLOATS,
    FLOATS,
    READABLE,
    st.sampled_from(["", "cd"]),
    st.dictionaries(READABLE, READABLE | FLOATS | st.booleans(), max_size=3).map(canonical),
)
NAMES = st.sampled_from(
    ["a", "a.b", "a_b", "a_total", "a_sum", "a_bucket", "a_created", "a_seconds", "target_info"]
)
UNITS = st.sampled_from(["", "s", "By", "%", "1", "{x}/s"])
RESOURCES = st.dictionaries(KEYS, VALUES, max_size=3).map(canonical)
TRANSLATIONS = ["UnderscoreEscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes"]
UTF8_TRANSLATIONS = ["NoUTF8EscapingWithSuffixes", "NoTranslation"]
READS_UTF8 = hasattr(client, "CONTENT_TYPE_PLAIN_1_0_0")


@st.composite
def columns(draw: st.DrawFn) -> Column:
    """Any stream with any series; what no recording can make (a count of 0.5) may be among the values."""
    kind = draw(st.sampled_from(Kind))
    bounds = draw(BOUNDS) if kind is Kind.HISTOGRAM else []
    cells = COUNTS | FLOATS if draw(st.booleans()) else COUNTS
    value: Any = FLOATS
    if kind is Kind.HISTOGRAM:
        row = st.lists(cells, min_size=len(bounds) + 1, max_size=len(bounds) + 1)
        value = st.tuples(row, FLOATS).map(lambda found: [*found[0], found[1]])
    elif kind is Kind.EXPONENTIAL:
        value = EXPONENTIALS
    return column(
        kind,
        draw(NAMES | TEXTS),
        draw(st.lists(st.tuples(ATTRIBUTES, value), max_size=4)),
        unit=draw(UNITS | TEXTS),
        description=draw(TEXTS),
        bounds=bounds,
        scope=draw(SCOPES),
        created_s=draw(FLOATS),
        exemplars=draw(st.dictionaries(st.integers(0, 4), st.lists(EXEMPLARS, max_size=3), max_size=2)),
    )


def options(translations: list[str]) -> st.SearchStrategy[Options]:
    return st.builds(
        Options,
        resource=RESOURCES,
        resource_labels=st.sampled_from([(), ("*",), ("a*", "le")]),
        scope_labels=st.sampled_from(["auto", "on", "off"]),
        translation=st.sampled_from(translations),
        yielding_scopes=st.sampled_from([frozenset[str](), frozenset({"a"})]),
    )


def check(families: Iterator[Any]) -> None:
    """No family and no series is there twice."""
    names: list[Any] = []
    series: list[Any] = []
    for family in families:
        names.append(family.name)
        series.extend((sample.name, frozenset(sample.labels.items())) for sample in family.samples)
    assert len(set(names)) == len(names)
    assert len(set(series)) == len(series)


@fuzz
@given(
    st.lists(columns(), max_size=4), options(TRANSLATIONS), st.sampled_from(["underscores", "dots", "values"])
)
def test_no_input_makes_a_text_unparseable(found: list[Column], chosen: Options, escaping: Any) -> None:
    for _ in range(2):  # with cold labels, then with warm ones
        check(parse_openmetrics(rendered(found, Format("openmetrics", "1.0.0", escaping), chosen).decode()))  # type: ignore[no-untyped-call]
        text = rendered(found, Format("text", "0.0.4", escaping), chosen).decode()
        list(parse_text(text))
        lines = [line.rpartition(" ")[0] for line in text.split("\n")[:-1]]
        assert len(set(lines)) == len(lines)


@pytest.mark.skipif(not READS_UTF8, reason="this prometheus_client reads no UTF-8 names")
@fuzz
@given(
    st.lists(columns(), max_size=4),
    options(UTF8_TRANSLATIONS),
    st.sampled_from(["underscores", "allow-utf-8", "dots", "values"]),
)
def test_no_input_makes_a_text_with_utf8_names_unparseable(
    found: list[Column], chosen: Options, escaping: Any
) -> None:
    check(parse_openmetrics(rendered(found, Format("openmetrics", "1.0.0", escaping), chosen).decode()))  # type: ignore[no-untyped-call]
    list(parse_text(rendered(found, Format("text", "1.0.0", escaping), chosen).decode()))


@fuzz
@given(st.lists(columns(), max_size=4), options(TRANSLATIONS + UTF8_TRANSLATIONS))
def test_no_input_makes_a_protobuf_unparseable(found: list[Column], chosen: Options) -> None:
    families = decode(rendered(found, PROTOBUF, chosen))
    names = [family.name for family in families]
    assert len(set(names)) == len(names)
    for family in families:
        series = [tuple((label.name, label.value) for label in metric.label) for metric in family.metric]
        assert len(set(series)) == len(series)


def expected_labels(attributes: dict[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset(join_labels(canonical(attributes), Spelling()))


STRINGS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=8)
SERIES = st.lists(st.tuples(st.dictionaries(KEYS, STRINGS | VALUES, max_size=3), FLOATS), max_size=5).filter(
    lambda rows: (
        len({expected_labels(row[0]) for row in rows}) == len(rows)
        and not any("\ud800" in value for row in rows for _, value in expected_labels(row[0]))
    )
)


def same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


@pytest.mark.parametrize("format", [TEXT, OPENMETRICS])
@fuzz
@given(rows=SERIES, description=STRINGS)
def test_a_gauge_is_read_back_as_it_was(format: Format, rows: list[Any], description: str) -> None:
    parse = parse_text if format is TEXT else parse_openmetrics
    (family,) = parse(rendered(column(Kind.GAUGE, "g", rows, description=description), format).decode())
    assert family.documentation.split() == description.split()
    assert len(family.samples) == len(rows)
    for sample, (attributes, value) in zip(family.samples, rows, strict=True):
        assert frozenset(sample.labels.items()) == expected_labels(attributes)
        assert same(sample.value, value)


@pytest.mark.parametrize("format", [TEXT, OPENMETRICS])
@fuzz
@given(
    bounds=st.lists(st.floats(0, allow_infinity=False), max_size=5, unique=True).map(sorted),
    counts=st.lists(COUNTS, min_size=6, max_size=6),
    total=st.floats(0),
)
def test_a_histogram_is_read_back_as_it_was(
    format: Format, bounds: list[float], counts: list[float], total: float
) -> None:
    row = [*counts[: len(bounds) + 1], total]
    body = rendered(column(Kind.HISTOGRAM, "h", [({"a": "b"}, row)], bounds=bounds, created_s=0.0), format)
    (family,) = (parse_text if format is TEXT else parse_openmetrics)(body.decode())
    buckets = [sample for sample in family.samples if sample.name == "h_bucket"]
    assert [float(sample.labels["le"]) for sample in buckets] == [*bounds, math.inf]
    assert [sample.value for sample in buckets] == list(accumulate(row[:-1]))
    assert {sample.name: sample.value for sample in family.samples if sample.name != "h_bucket"} == {
        "h_count": sum(row[:-1]),
        "h_sum": total,
    }
