"""A page of metrics is read as Prometheus reads it, and what is wrong with it is named."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from otel_obs.reading.page import MAX_FLAWS, PageFormat, ScrapedPage
from otel_obs.reading.text import PageReader, read_page


def kinds(text: str, page_format: PageFormat = "text") -> list[tuple[int, str]]:
    return [(flaw.line, flaw.kind) for flaw in read_page(text.encode(), page_format).flaws]


def values(page: ScrapedPage) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return page.values()


def test_a_page_is_families_with_their_samples() -> None:
    page = read_page(
        b"# HELP jobs Jobs\\nby \\\\ state.\n"
        b"# TYPE jobs gauge\n"
        b'jobs{state="a\\"b\\\\c\\nd",empty=""} 1 1700000000000\n'
        b"# TYPE took histogram\n"
        b'took_bucket{le="1"} 2\ntook_bucket{le="+Inf"} 3\ntook_sum 4.5\ntook_count 3\n'
        b"loose{} NaN\n"
    )

    assert page.flaws == []
    assert [(f.name, f.type, f.help, len(f.samples)) for f in page.families.values()] == [
        ("jobs", "gauge", "Jobs\nby \\ state.", 1),
        ("took", "histogram", "", 4),
        ("loose", "unknown", "", 1),
    ]
    (sample,) = page.families["jobs"].samples
    assert (sample.labels, sample.value, sample.timestamp_s, sample.line) == (
        {"state": 'a"b\\c\nd', "empty": ""},
        1.0,
        1_700_000_000.0,
        3,
    )
    assert math.isnan(page.families["loose"].samples[0].value)


def test_quoted_names_of_the_newer_format_are_read() -> None:
    page = read_page(
        b'# TYPE "http.requests" counter\n{"http.requests","http.route"="/a",code="200"} 4\n{"other one"} 5\n'
    )

    assert page.flaws == []
    assert page.families["http.requests"].type == "counter"
    assert values(page) == {
        ("http.requests", (("code", "200"), ("http.route", "/a"))): 4.0,
        ("other one", ()): 5.0,
    }


def test_openmetrics_has_units_exemplars_and_an_end() -> None:
    page = read_page(
        b"# TYPE took_seconds histogram\n# UNIT took_seconds seconds\n"
        b'took_seconds_bucket{le="1.0"} 2 # {trace_id="abc"} 0.5 1700000000.25\n'
        b'took_seconds_bucket{le="+Inf"} 2\ntook_seconds_count 2\ntook_seconds_sum 1\n'
        b"# TYPE seen counter\nseen_total 3\nseen_created 1700000000\n# EOF\n",
    )

    assert (page.format, page.flaws) == ("openmetrics", [])
    assert page.families["took_seconds"].unit == "seconds"
    exemplar = page.families["took_seconds"].samples[0].exemplar
    assert exemplar == ({"trace_id": "abc"}, 0.5, 1_700_000_000.25)
    assert [sample.name for sample in page.families["seen"].samples] == ["seen_total", "seen_created"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a 1\nb\n", [(2, "syntax")]),
        ("a 1 2 3\n", [(1, "syntax")]),
        ("a one\n", [(1, "syntax")]),
        ("a 0x1F\n", [(1, "syntax")]),
        ("a 1_000\n", [(1, "syntax")]),
        ("a \u0661\n", [(1, "syntax")]),
        ("9a 1\n", [(1, "syntax")]),
        ("a-b 1\n", [(1, "syntax")]),
        ('a{b="1"\n', [(1, "syntax")]),
        ('a{b="1} 2\n', [(1, "syntax")]),
        ("a{b=1} 2\n", [(1, "syntax")]),
        ("a{b} 2\n", [(1, "syntax")]),
        ('a{b="1" c="2"} 2\n', [(1, "syntax")]),
        ("a{,} 2\n", [(1, "syntax")]),
        ('a{b:c="1"} 2\n', [(1, "syntax")]),
        ('a{b="1",b="2"} 2\n', [(1, "syntax")]),
        ('a{b="\\t"} 2\n', [(1, "syntax")]),
        ("a 1\r\n", [(1, "syntax")]),
        ("a 1", [(1, "no_newline")]),
        ("a 1\na 2\n", [(2, "series_twice")]),
        ('a{b="1",c="2"} 1\na{c="2",b="1"} 1\n', [(2, "series_twice")]),
        ("# TYPE a count\na 1\n", [(1, "type")]),
        ("# TYPE a gauge\n# TYPE a gauge\na 1\n", [(2, "type_twice")]),
        ("# HELP a x\n# HELP a y\na 1\n", [(2, "help_twice")]),
        ("a 1\n# TYPE a gauge\n", [(2, "late_type")]),
        ('a{b="1"} 1\nc 1\na{b="2"} 1\na{b="3"} 1\n', [(3, "scattered")]),
        ("# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# HELP a text\n", [(5, "family_twice")]),
        ("# TYPE a histogram\na 1\n", [(2, "suffix")]),
    ],
)
def test_what_is_wrong_with_a_text_page_is_named_with_its_line(
    text: str, found: list[tuple[int, str]]
) -> None:
    assert kinds(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# TYPE a gauge\na 1\n", [(2, "no_eof")]),
        ("# TYPE a gauge\na 1\n# EOF\na 2\n", [(4, "after_eof")]),
        ("# TYPE a_total counter\na_total 1\n# EOF\n", [(1, "suffix"), (2, "suffix")]),
        ("a_total 1\n# EOF\n", [(1, "suffix")]),
        ("# TYPE a gauge\n\na 1\n# EOF\n", [(2, "comment")]),
        ("# a comment\n# EOF\n", [(1, "comment")]),
        ("# TYPE a gauge\n# UNIT a seconds\na 1\n# EOF\n", [(2, "unit_name")]),
        ("# TYPE a untyped\na 1\n# EOF\n", [(1, "type")]),
        ("# TYPE a counter\na_total 1 # {b=1} 2\n# EOF\n", [(2, "syntax")]),
        (f'# TYPE a counter\na_total 1 # {{b="{"x" * 128}"}} 2\n# EOF\n', [(2, "syntax")]),
    ],
)
def test_what_is_wrong_with_an_openmetrics_page_is_named_with_its_line(
    text: str, found: list[tuple[int, str]]
) -> None:
    assert kinds(text, "openmetrics") == found


def test_bytes_that_are_no_text_are_named_and_the_rest_is_read() -> None:
    page = read_page(b'a 1\nb{c="\xff"} 2\nd 3\n')

    assert [(flaw.line, flaw.kind) for flaw in page.flaws] == [(2, "encoding")]
    assert list(page.families) == ["a", "b", "d"]


def test_a_page_that_is_no_exposition_has_a_bounded_list_of_flaws() -> None:
    page = read_page(b"<p>\n" * 5_000)

    assert (len(page.flaws), page.flaw_count) == (MAX_FLAWS, 5_000)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.floats(allow_nan=False)
AMOUNTS = st.floats(min_value=0, max_value=1e9)
METRICS: dict[str, Any] = {"counter": Counter, "gauge": Gauge, "histogram": Histogram, "summary": Summary}


@st.composite
def registries(draw: st.DrawFn) -> CollectorRegistry:
    """A registry of prometheus_client with metrics of every type."""
    registry = CollectorRegistry()
    for index, kind in enumerate(draw(st.lists(st.sampled_from([*METRICS, "info"]), max_size=5))):
        name, help_text = f"m{index}", draw(TEXTS)
        if kind == "info":
            Info(name, help_text, registry=registry).info({"label": draw(TEXTS)})
            continue
        metric = METRICS[kind](name, help_text, ["label"], registry=registry)
        for value in draw(st.lists(TEXTS, min_size=1, max_size=3, unique=True)):
            record(kind, metric.labels(value), draw(NUMBERS if kind == "gauge" else AMOUNTS))
    return registry


def record(kind: str, metric: Any, number: float) -> None:
    if kind == "gauge":
        metric.set(number)
    elif kind == "counter":
        metric.inc(number)
    else:
        metric.observe(number)


@settings(max_examples=60, deadline=None)
@given(registries())
def test_pages_of_prometheus_client_are_read_as_its_own_parsers_read_them(
    registry: CollectorRegistry,
) -> None:
    text, openmetrics = generate_latest(registry), generate_openmetrics(registry)  # type: ignore[no-untyped-call]

    for body, parse in ((text, parse_text), (openmetrics, parse_openmetrics)):
        page = read_page(body)
        expected = [sample for family in parse(body.decode()) for sample in family.samples]

        assert page.flaws == []
        assert {(s.name, tuple(sorted(s.labels.items()))): str(s.value) for s in page.samples()} == {
            (s.name, tuple(sorted(s.labels.items()))): str(float(s.value)) for s in expected
        }


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["text", "openmetrics"]))
def test_nothing_that_is_sent_can_raise(body: bytes, page_format: PageFormat) -> None:
    read_page(body, page_format)


LINE_BITS = st.sampled_from(
    ["a", "{", "}", '"', "\\", ",", "=", " ", "\t", "1", "#", "# TYPE ", "# HELP ", "\n", "le"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(LINE_BITS, max_size=30).map("".join), st.sampled_from(["text", "openmetrics"]))
def test_nothing_that_looks_like_an_exposition_can_raise(text: str, page_format: PageFormat) -> None:
    read_page(text.encode(), page_format)


MANY = 200_000


@pytest.mark.parametrize(
    "hostile",
    [
        "a{" + " " * MANY,
        'a{b="' + "\\\\" * MANY,
        "a" + " " * MANY + "x",
        'a{b="1"' + "," * MANY,
        "a{b" + " \t" * MANY + "}",
        "a{" + 'b="",' * MANY + "!}",
        '# TYPE "' + "\\" * MANY,
        "# HELP" + " " * MANY,
        'a{"' + '"' * MANY + "} 1",
        "a 1 # " + "{" * MANY,
    ],
)
def test_a_hostile_line_takes_a_time_that_is_linear(hostile: str) -> None:
    def seconds(text: str) -> float:
        started_s = time.process_time()
        read_page(text.encode() + b"\n", "text")
        read_page(text.encode() + b"\n", "openmetrics")
        return time.process_time() - started_s

    assert seconds(hostile) < 2.0


def test_a_reader_that_is_used_again_reads_the_same() -> None:
    reader = PageReader()
    body = b'a{b="1"} 1\na{b="2"} 2\n'

    assert reader.read(body) == reader.read(body) == read_page(body)
