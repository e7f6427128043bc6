"""OpenMetrics 2.0: the specification's own lines, whole expositions, and the same numbers as in 1.0."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from math import inf, isnan, nan
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Metric, Summary
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_1
from prometheus_client.samples import Exemplar as ClientExemplar

from otel_obs.cells.attributes import canonical
from otel_obs.cells.layout import Kind
from otel_obs.cells.snapshot import Column, Exemplar, ExponentialValue
from otel_obs.exposition import OPENMETRICS, TEXT, Format, Options, negotiate, render
from otel_obs.exposition.lexical import number
from tests.exposition.build import (
    CREATED_S,
    SPAN_ID,
    TRACE_ID,
    column,
    counter,
    exemplar,
    exponential,
    gauge,
    histogram,
    one_of_each,
    rendered,
    snapshot,
)
from tests.exposition.strict_openmetrics2 import Page, parse, read_sample
from tests.exposition.test_roundtrip import TRANSLATIONS, columns, fuzz, options

OPENMETRICS_2 = Format("openmetrics2", "2.0.0")
ODD = 'a"b\\c\nd ü {},='


def lines(*found: Column, others: Any = ()) -> list[str]:
    """The samples of an exposition, which a strict parser has read."""
    text = rendered(found, OPENMETRICS_2, others=others).decode()
    parse(text)
    return [line for line in text.splitlines() if not line.startswith("#")]


def foreign(name: str, kind: str, *samples: tuple[Any, ...], unit: str = "", text: str = "") -> Metric:
    metric = Metric(name, text, kind, unit)
    for sample in samples:
        metric.add_sample(*sample)
    return metric


@pytest.mark.parametrize(
    "text",
    [
        '# TYPE foo_total counter\nfoo_total 17.0 1.5 st@1.25 # {trace_id="a"} 0.67 1520879606.1\n# EOF\n',
        "# TYPE foo summary\nfoo {count:0,sum:0.0,quantile:[0.95:123.7,0.99:150]} st@1520430000.123\n# EOF\n",
        (
            "# TYPE foo histogram\nfoo {count:2,sum:1.2e2,schema:0,zero_threshold:1e-4,zero_count:0,"
            "positive_spans:[1:2],positive_buckets:[1,1],bucket:[0.5:1,1:2,+Inf:2]}\n# EOF\n"
        ),
        "# TYPE foo gaugehistogram\nfoo {gcount:42,gsum:9.3,bucket:[0.01:20,0.1:25,1:34,+Inf:42]}\n# EOF\n",
        '# TYPE foo stateset\nfoo{e="c",foo="a"} 1.0\nfoo{e="c",foo="b"} 0\n# EOF\n',
        (
            '# TYPE "foodb.read.errors" counter\n# HELP "foodb.read.errors" The number\n'
            '{"foodb.read.errors","service.name"="my_service"} 3482\n# EOF\n'
        ),
    ],
)
def test_the_strict_parser_reads_what_the_specification_shows(text: str) -> None:
    assert parse(text).values


@pytest.mark.parametrize(
    "text",
    [
        "foo 1\n",
        "# TYPE foo counter\nfoo_total 1 # {} 1\n# EOF\n",
        "# TYPE foo histogram\nfoo 5\n# EOF\n",
        "# TYPE foo histogram\nfoo {count:1,bucket:[+Inf:1]}\n# EOF\n",
        "# TYPE foo histogram\nfoo {count:3,sum:6.0,bucket:[1.0:2,0.1:1,+Inf:3]}\n# EOF\n",
        "# TYPE foo histogram\nfoo {count:3,sum:6.0,bucket:[1.0:2]}\n# EOF\n",
        "# TYPE foo histogram\nfoo {count:1,sum:1.0,schema:9,zero_threshold:0,zero_count:1}\n# EOF\n",
        "# TYPE foo summary\nfoo {count:3,sum:6.0,quantile:[0.99:1.0,0.5:2.0]}\n# EOF\n",
        "# TYPE foo info\nfoo 1\n# EOF\n",
        "# TYPE foo gauge\nfoo 1 st@2\n# EOF\n",
        "# TYPE foo counter\nfoo NaN\n# EOF\n",
        "foo {count:1,sum:2.0,bucket:[+Inf:1]}\n# EOF\n",
        'foo{a="b"} 1\nbar 2\nfoo{a="c"} 1\n# EOF\n',
        "foo 1 st@5 3\n# EOF\n",
        "foo_total 1 \n# EOF\n",
        '{a="b","m.n"} 1\n# EOF\n',
    ],
)
def test_the_strict_parser_refuses_what_the_specification_forbids(text: str) -> None:
    with pytest.raises(AssertionError):
        parse(text)


def test_nothing_is_an_end() -> None:
    assert rendered([], OPENMETRICS_2) == b"# EOF\n"


def test_a_whole_exposition() -> None:
    found = one_of_each({"path": ODD}, [exemplar(1, 0.75, 1700000003.0), exemplar(0, 0.3, 1700000004.0)])
    ids = f'trace_id="{TRACE_ID}",span_id="{SPAN_ID}"'
    assert rendered(found, OPENMETRICS_2, Options(canonical({"service.name": "shop"}))).decode() == (
        "# TYPE target_info info\n"
        "# HELP target_info Target metadata\n"
        'target_info{service_name="shop"} 1.0\n'
        "# TYPE http_request_duration_seconds histogram\n"
        "# UNIT http_request_duration_seconds seconds\n"
        'http_request_duration_seconds{path="a\\"b\\\\c\\nd ü {},="} '
        "{count:3,sum:2.5,bucket:[0.5:1,1.0:3,+Inf:3]}"
        f" st@1700000000.5 # {{{ids}}} 0.3 1700000004.0 # {{{ids}}} 0.75 1700000003.0\n"
        "# TYPE http_requests_total counter\n"
        '# HELP http_requests_total Total \\"HTTP\\" requests\n'
        'http_requests_total{method="GET"} 5.0 st@1700000000.5'
        f' # {{{ids},user="u"}} 2.0 1700000002.5\n'
        'http_requests_total{method="PUT"} 1.0 st@1700000000.5\n'
        "# TYPE temperature_celsius gauge\n"
        "# UNIT temperature_celsius celsius\n"
        "temperature_celsius -3.5\n"
        "# EOF\n"
    )


def test_classic_buckets_are_the_line_of_the_specification() -> None:
    bounds = (0.0, 1e-05, 0.0001, 0.1, 1.0, 10.0, 100000.0, 1e6, 1e23, 1.1e23)
    row = [0.0, 0.0, 5.0, 3.0, 2.0, 1.0, 0.0, 4.0, 1.0, 1.0, 0.0, 324789.3]
    assert lines(histogram("foo", bounds, [({}, row)], created_s=1520430000.123)) == [
        (
            "foo {count:17,sum:324789.3,bucket:[0.0:0,1e-05:0,0.0001:5,0.1:8,1.0:10,10.0:11,100000.0:11,"
            "1e+06:15,1e+23:16,1.1e+23:17,+Inf:17]} st@1520430000.123"
        )
    ]


def test_native_buckets_are_those_of_the_specification_with_classic_ones_behind() -> None:
    # Index i of Prometheus is i-1 of OpenTelemetry, whose buckets are named by their lower bounds.
    value = ExponentialValue(7, 0, 120.0, -2, [5, 7, 0, 0, 0, 10, 9, 8, 8], 0, [5, 7])
    (line,) = lines(exponential("foo", [({}, value)], created_s=1520430000.123))
    assert line.startswith(
        "foo {count:59,sum:120.0,schema:7,zero_threshold:1e-128,zero_count:0,negative_spans:[1:2],"
        "negative_buckets:[5,7],positive_spans:[-1:2,3:4],positive_buckets:[5,7,10,9,8,8],bucket:["
    )
    assert line.endswith(",+Inf:59]} st@1520430000.123")


def test_native_buckets_that_are_empty_are_not_there() -> None:
    (line,) = lines(exponential("foo", [({}, ExponentialValue(3, 0, 0.0, 0, [], 0, []))]))
    assert line.startswith("foo {count:0,sum:0.0,schema:3,zero_threshold:1e-128,zero_count:0,bucket:[")


def test_a_histogram_that_is_coarser_than_native_ones_has_classic_buckets() -> None:
    (line,) = lines(exponential("foo", [({}, ExponentialValue(-5, 1, 9.0, 0, [2], 0, []))], unit="s"))
    assert line.startswith("foo_seconds {count:3,sum:9.0,bucket:[0.000244140625:1,")


@pytest.mark.parametrize("total", [-5.0, nan, inf, -inf])
def test_a_sum_may_be_any_number(total: float) -> None:
    (line,) = lines(histogram("h", (-1.0, 1.0), [({}, [1.0, 0.0, 1.0, total])], created_s=0.0))
    assert line.startswith("h {count:2,sum:")
    assert line.endswith(",bucket:[-1.0:1,1.0:1,+Inf:2]}")
    found = parse(f"# TYPE h histogram\n{line}\n# EOF\n").values["h_sum", frozenset()]
    assert found == total or (isnan(found) and isnan(total))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([0.5, 0.0, 1.0], ["h {count:0.5,sum:1.0,bucket:[1.0:0.5,+Inf:0.5]}"]),
        ([0.5, 0.5, 1.0], ["h {count:1.0,sum:1.0,bucket:[1.0:0.5,+Inf:1.0]}"]),
        (
            [2.0**60, 0.0, 1.0],
            ["h {count:1.152921504606847e+18,sum:1.0,bucket:[1.0:1.152921504606847e+18,+Inf:"],
        ),
        ([5e9, 0.0, 1.0], ["h {count:5000000000,sum:1.0,bucket:[1.0:5000000000,+Inf:5000000000]}"]),
        ([-1.0, 2.0, 1.0], []),
        ([nan, 0.0, 1.0], []),
        ([0.0, inf, 1.0], []),
    ],
)
def test_buckets_that_are_no_counts_are_left_out(row: list[float], expected: list[str]) -> None:
    found = lines(histogram("h", (1,), [({}, row)], created_s=0.0))
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))


def test_a_counter_keeps_its_name_and_its_type_without_total() -> None:
    strategy = Options(translation="UnderscoreEscapingWithoutSuffixes")
    sent = counter("sent", [({}, 1.0)], unit="By", exemplars={0: [exemplar(0, 1.0, 1.5)]})
    assert rendered(sent, OPENMETRICS_2, strategy).decode() == (
        "# TYPE sent counter\n# UNIT sent bytes\n"
        f'sent 1.0 st@1700000000.5 # {{trace_id="{TRACE_ID}",span_id="{SPAN_ID}"}} 1.0 1.5\n# EOF\n'
    )


def test_a_family_reserves_no_names_but_those_of_its_samples() -> None:
    columns = [counter("jobs", [({}, 1.0)]), gauge("jobs", [({}, 2.0)]), gauge("jobs_created", [({}, 3.0)])]
    assert parse(rendered(columns, OPENMETRICS_2).decode()).types == {
        "jobs_total": "counter",
        "jobs": "gauge",
        "jobs_created": "gauge",
    }


def test_utf8_names_are_quoted() -> None:
    format = Format("openmetrics2", "2.0.0", "allow-utf-8")
    requests = counter("http.requests", [({"http.route": "/"}, 1.0)], description="All")
    assert rendered(requests, format, Options(translation="NoUTF8EscapingWithSuffixes")).decode() == (
        '# TYPE "http.requests_total" counter\n'
        '# HELP "http.requests_total" All\n'
        '{"http.requests_total","http.route"="/"} 1.0 st@1700000000.5\n'
        "# EOF\n"
    )


@pytest.mark.parametrize("created_s", [0.0, -1.0, nan, inf])
def test_an_unknown_start_is_not_written(created_s: float) -> None:
    assert lines(counter("c", [({}, 1.0)], created_s=created_s)) == ["c_total 1.0"]


@pytest.mark.parametrize("value", [-1.0, nan, -inf])
def test_what_no_counter_can_be_is_left_out(value: float) -> None:
    assert lines(counter("c", [({"a": "1"}, value), ({"a": "2"}, 1.0)], created_s=0.0)) == [
        'c_total{a="2"} 1.0'
    ]


def test_an_exemplar_without_a_time_is_left_out() -> None:
    untimed, timed = Exemplar(0, 1.0, nan, "ab", ""), Exemplar(0, 2.0, 5.0, "", "")
    assert lines(counter("c", [({}, 1.0)], created_s=0.0, exemplars={0: [untimed]})) == ["c_total 1.0"]
    both = counter("c", [({}, 1.0)], created_s=0.0, exemplars={0: [untimed, timed]})
    assert lines(both) == ["c_total 1.0 # {} 2.0 5.0"]


def test_the_series_that_holds_the_overflow_is_one_of_all() -> None:
    rows: list[Any] = [({"a": "b"}, [1.0, 0.0, 1.0]), ({"otel_metric_overflow": True}, [0.0, 2.0, 9.0])]
    assert lines(histogram("h", (1,), rows, created_s=0.0))[1] == (
        'h{otel_metric_overflow="true"} {count:2,sum:9.0,bucket:[1.0:0,+Inf:2]}'
    )


@pytest.mark.parametrize("text", ["odd\r", "\r", "a\0b", "a\\", "\ud800", "x\r\n\r"])
def test_no_help_ends_its_line_with_a_carriage_return(text: str) -> None:
    page = rendered(gauge("g", [({}, 1.0)], description=text), OPENMETRICS_2).decode()
    assert "\r\n" not in page
    assert parse(page).helps.get("g", "") == text.rstrip("\r").replace("\ud800", "\ufffd")


def test_names_choose_families_by_their_samples() -> None:
    found = [
        histogram("h", (1,), [({}, [1.0, 0.0, 1.0])]),
        counter("c", [({}, 1.0)]),
        gauge("g", [({}, 1.0)]),
    ]
    for asked, family in {"h_bucket": "h", "h": "h", "h_count": "h", "c_total": "c_total", "g": "g"}.items():
        assert list(parse(rendered(found, OPENMETRICS_2, names=[asked]).decode()).types) == [family]


def test_what_prometheus_client_counts_is_written() -> None:
    registry = CollectorRegistry()
    Counter("c", "Help", ["a"], registry=registry).labels(ODD).inc(2, {"trace_id": "ab"})
    Histogram("h", "", registry=registry, buckets=(1, 2)).observe(1.5, {"trace_id": "cd"})
    Summary("s", "", registry=registry).observe(2)
    Enum("e", "", states=["on", "off"], registry=registry)
    Info("i", "", registry=registry).info({"v": "1"})
    Gauge("g", "", registry=registry).set(nan)
    page = parse(rendered([], OPENMETRICS_2, others=registry.collect()).decode())
    assert page.types == {
        "c_total": "counter",
        "h": "histogram",
        "s": "summary",
        "e": "stateset",
        "i_info": "info",
        "g": "gauge",
    }
    assert page.values["c_total", frozenset({("a", ODD)})] == 2.0
    assert page.values["h_bucket", frozenset({("le", "2.0")})] == 1.0
    assert page.values["s_sum", frozenset()] == 2.0
    assert {name for name, _ in page.starts} == {"c_total", "h", "s"}
    assert {name: shown[0][0] for (name, _), shown in page.exemplars.items()} == {
        "c_total": frozenset({("trace_id", "ab")}),
        "h": frozenset({("trace_id", "cd")}),
    }


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (
            foreign(
                "s",
                "summary",
                ("s", {"quantile": "0.99"}, 150.0),
                ("s", {"quantile": ".95"}, 123.7),
                ("s_count", {}, 0.0),
                ("s_sum", {}, 0.0),
                ("s_created", {}, 1520430000.123),
            ),
            ["s {count:0,sum:0.0,quantile:[0.95:123.7,0.99:150.0]} st@1520430000.123"],
        ),
        (
            foreign(
                "g",
                "gaugehistogram",
                ("g_bucket", {"le": "1"}, 34.0),
                ("g_bucket", {"le": ".01"}, 20.0),
                ("g_bucket", {"le": "+Inf"}, 42.0),
                ("g_gcount", {}, 42.0),
                ("g_gsum", {}, -3289.3),
            ),
            ["g {gcount:42,gsum:-3289.3,bucket:[0.01:20,1.0:34,+Inf:42]}"],
        ),
        (
            foreign(
                "h",
                "histogram",
                ("h_bucket", {"a": "b", "le": "1"}, 3.0, 5.5, ClientExemplar({"t": "x"}, 0.5, 4.0)),
                ("h_bucket", {"a": "b", "le": "inf"}, 3.0, 5.5, ClientExemplar({"t": "y"}, 0.5)),
                ("h_sum", {"a": "b"}, nan, 5.5),
            ),
            ['h{a="b"} {count:3,sum:NaN,bucket:[1.0:3,+Inf:3]} 5.5 # {t="x"} 0.5 4.0'],
        ),
        (
            foreign("c", "counter", ("c_total", {}, 3.0, 7.0), ("c_created", {}, 2.0, 7.0)),
            ["c_total 3.0 7.0 st@2.0"],
        ),
        (
            foreign("s", "summary", ("s", {"quantile": "0.5"}, 1.0), ("s_count", {}, 4.0)),
            ['s{quantile="0.5"} 1.0', "s_count 4.0"],
        ),
        (
            foreign("h", "histogram", ("h_bucket", {"le": "-1.0"}, 1.0), ("h_count", {}, 2.0)),
            ['h_bucket{le="-1.0"} 1.0', 'h_bucket{le="+Inf"} 2.0', "h_count 2.0"],
        ),
        (foreign("x", "unknown", ("x", {}, -1.0), unit="b/s"), ["x -1.0"]),
    ],
)
def test_what_other_collectors_yield_is_written(metric: Metric, expected: list[str]) -> None:
    assert lines(others=[metric]) == expected


def test_a_family_without_sums_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    Histogram("cold", "", registry=registry, buckets=(-1, 1)).observe(-2)
    for _ in range(2):
        page = parse(rendered([], OPENMETRICS_2, others=registry.collect()).decode())
    assert set(page.types.values()) == {"unknown"}
    assert page.values["cold_bucket", frozenset({("le", "-1.0")})] == 1.0
    assert caplog.messages == [
        (
            "the histogram 'cold' of prometheus_client is of unknown type in OpenMetrics 2.0: "
            "it has series without a count and a sum"
        )
    ]


def normal(name: str, labels: Iterable[tuple[str, str]]) -> tuple[str, frozenset[tuple[str, str]]]:
    """A key with the spelling of bounds that every parser has in the end."""
    found = dict(labels)
    for own in ("le", "quantile"):
        with contextlib.suppress(ValueError, KeyError):
            found[own] = number(float(found[own]))
    return name, frozenset(found.items())


def samples_of(families: Iterable[Any]) -> dict[Any, tuple[float, Any]]:
    return {
        normal(sample.name, sample.labels.items()): (sample.value, sample.exemplar)
        for family in families
        for sample in family.samples
    }


def same(left: float, right: float) -> bool:
    return left == right or (isnan(left) and isnan(right))


def check_same(page: Page, text_1: str, text: str) -> None:
    """What 1.0 says stands in 2.0 with the same numbers, and what stands in 2.0 is in the text format."""
    starts = set(page.starts.values())
    values = {normal(*key): value for key, value in page.values.items()}
    shown = {one[:2] for some in page.exemplars.values() for one in some}
    for key, (value, one) in samples_of(parse_1(text_1)).items():  # type: ignore[no-untyped-call]
        if key in values:
            assert same(values[key], value), key
        elif value >= 0:  # 1.0 shows what is below as of unknown type, where its counter has no `_total`
            assert key[0].endswith("_created"), key
            assert value in starts, key
        if one is not None and one.timestamp is not None and not isnan(one.value):
            assert (frozenset(one.labels.items()), one.value) in shown, key
    samples = (read_sample(line) for line in text.split("\n") if line and not line.startswith("#"))
    everything = {normal(*key): value for key, value in samples}
    for key, value in values.items():
        if value % 1 == 0 or not key[0].endswith("_bucket"):  # no recording makes half a count
            assert same(everything[key], value), key


@fuzz
@given(
    st.lists(columns(), max_size=4), options(TRANSLATIONS), st.sampled_from(["underscores", "dots", "values"])
)
def test_whatever_is_recorded_is_the_same_in_all_texts(
    found: list[Column], chosen: Options, escaping: Any
) -> None:
    for _ in range(2):  # with cold labels, then with warm ones
        page = parse(rendered(found, Format("openmetrics2", "2.0.0", escaping), chosen).decode())
        text_1 = rendered(found, Format("openmetrics", "1.0.0", escaping), chosen).decode()
        check_same(page, text_1, rendered(found, Format("text", "0.0.4", escaping), chosen).decode())


@fuzz
@given(st.lists(columns(), max_size=4), options(["NoTranslation", "NoUTF8EscapingWithSuffixes"]))
def test_no_input_makes_a_page_with_utf8_names_unparseable(found: list[Column], chosen: Options) -> None:
    parse(rendered(found, Format("openmetrics2", "2.0.0", "allow-utf-8"), chosen).decode())


FOREIGN_LABELS = st.dictionaries(
    st.sampled_from(["a", "le", "quantile", "m"]), st.sampled_from(["", "1", "0.5", "+Inf", "x"]), max_size=3
)
FOREIGN_SAMPLES = st.lists(
    st.tuples(
        st.sampled_from(
            ["m", "m_total", "m_bucket", "m_count", "m_sum", "m_gcount", "m_gsum", "m_info", "m_created", "n"]
        ),
        FOREIGN_LABELS,
        st.sampled_from([0.0, 1.0, 2.0, 2.5, -1.0, 1e16, nan, inf]),
        st.sampled_from([None, None, 5.0, nan]),
    ),
    max_size=12,
)


@fuzz
@given(
    st.sampled_from(
        ["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"]
    ),
    FOREIGN_SAMPLES,
    st.text(max_size=3),
)
@example("info", [("m", {}, 0.0, None), ("m_info", {}, 0.0, None)], "")
def test_no_collector_makes_a_page_unparseable(kind: str, samples: list[Any], unit: str) -> None:
    metric = Metric("m", "Help", kind)
    metric.unit = unit
    for sample in samples:
        metric.add_sample(*sample)
    page = parse(rendered([], OPENMETRICS_2, others=[metric]).decode())
    values = {normal(*key): value for key, value in page.values.items()}
    oracle = samples_of(parse_1(rendered([], OPENMETRICS, others=[metric]).decode()))  # type: ignore[no-untyped-call]
    for key, (value, _) in oracle.items():
        # In 1.0 another sample named `m` makes an info unknown, and it keeps its value; in 2.0 it is 1.
        is_info = kind == "info" and key[0] == "m_info"
        assert key[0].endswith("_created") or same(values[key], 1.0 if is_info else value), key


MANY = 3000


@pytest.mark.parametrize(
    "found",
    [
        partial(counter, "c", [({"a": str(at)}, 1.0) for at in range(MANY)]),
        partial(gauge, "g", [({"a": str(at)}, 1.0) for at in range(MANY)]),
        partial(histogram, "h", tuple(range(1, 15)), [({"a": str(at)}, [1.0] * 16) for at in range(MANY)]),
        partial(
            exponential,
            "e",
            [({"a": str(at)}, ExponentialValue(3, 0, 1.0, 0, [1] * 40, 0, [])) for at in range(MANY // 10)],
        ),
    ],
)
def test_a_page_comes_in_many_small_parts(found: Callable[[], Column]) -> None:
    parts = list(render(snapshot(found()), OPENMETRICS_2))
    page = b"".join(parts)
    assert len(page) > 100_000 or found.func is gauge  # type: ignore[attr-defined]
    assert max(map(len, parts)) < 100_000


ACCEPT_2 = (
    "application/openmetrics-text;version=2.0.0;escaping=allow-utf-8;q=0.7,"
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (ACCEPT_2, Format("openmetrics2", "2.0.0", "allow-utf-8")),
        ("application/openmetrics-text;version=2.0.0", OPENMETRICS_2),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text;version=2.0.1,text/plain;q=0.1", TEXT),
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=2.0.0",
            OPENMETRICS,
        ),
        ("application/openmetrics-text;q=0,application/*;q=0.5", Format("protobuf", "")),
        ("*/*", TEXT),
        (None, TEXT),
    ],
)
def test_who_names_version_2_gets_it_where_it_is_allowed(accept: str | None, expected: Format) -> None:
    assert negotiate(accept, has_experimental=True) == expected


def test_who_names_version_2_gets_the_next_where_it_is_not_allowed() -> None:
    assert negotiate(ACCEPT_2) == Format("openmetrics", "1.0.0", "allow-utf-8")
    assert negotiate("application/openmetrics-text;version=2.0.0") == TEXT


def test_the_content_type_names_version_and_escaping() -> None:
    assert OPENMETRICS_2.content_type == (
        "application/openmetrics-text; version=2.0.0; charset=utf-8; escaping=underscores"
    )
    assert replace(OPENMETRICS_2, escaping="allow-utf-8").media_type == (
        "application/openmetrics-text; version=2.0.0; escaping=allow-utf-8"
    )


def test_a_start_is_as_exact_as_it_is_known() -> None:
    assert lines(column(Kind.COUNTER, "c", [({}, 1.0)])) == [f"c_total 1.0 st@{CREATED_S}"]
