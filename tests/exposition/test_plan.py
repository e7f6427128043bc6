"""One TYPE, HELP and UNIT a name; one owner a name; scopes that share one; series that become equal."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.core import CounterMetricFamily

from otel_obs.cells.attributes import canonical
from otel_obs.cells.layout import Kind, Scope, Stream
from otel_obs.exposition import OPENMETRICS, PROTOBUF, TEXT, Format, Options
from tests.exposition.build import CREATED_S, column, counter, exemplar, gauge, histogram, rendered
from tests.exposition.schema import decode

A, B = Scope("a", "1"), Scope("b", "2", "https://example.org/2", canonical({"team": "x"}))


def samples(text: bytes) -> list[str]:
    return [line for line in text.decode().splitlines() if not line.startswith("#")]


def test_another_type_drops_the_whole_later_metric(caplog: pytest.LogCaptureFixture) -> None:
    columns = [
        gauge("jobs_total", [({}, 1.0)], description="First", scope=A),
        counter("jobs", [({}, 2.0)], description="Second", scope=B),
    ]
    expected = "# HELP jobs_total First\n# TYPE jobs_total gauge\njobs_total 1.0\n"
    assert [rendered(columns).decode() for _ in range(2)] == [expected] * 2
    assert caplog.messages == [
        "the counter 'jobs_total' of scope 'b' is not exposed: 'jobs_total' is a gauge already; rename one"
    ]


def test_another_help_drops_the_comment_and_keeps_the_points(caplog: pytest.LogCaptureFixture) -> None:
    columns = [
        counter("jobs", [({"q": "1"}, 1.0)], scope=A),
        counter("jobs", [({"q": "2"}, 2.0)], description="First", scope=A),
        counter("jobs", [({"q": "3"}, 3.0)], description="Second", scope=A),
    ]
    assert rendered(columns).decode() == (
        "# HELP jobs_total First\n"
        "# TYPE jobs_total counter\n"
        'jobs_total{q="1"} 1.0\n'
        'jobs_total{q="2"} 2.0\n'
        'jobs_total{q="3"} 3.0\n'
    )
    assert caplog.messages == ["'jobs_total' has two HELP comments: 'First' is exposed, 'Second' is dropped"]


def test_another_unit_drops_the_comment_and_keeps_the_points(caplog: pytest.LogCaptureFixture) -> None:
    columns = [
        gauge("a_bytes_seconds", [({"q": "1"}, 1.0)], unit="s"),
        gauge("a_bytes_seconds", [({"q": "2"}, 2.0)], created_s=CREATED_S + 1),
        gauge("a.bytes", [({"q": "3"}, 3.0)], unit="s", created_s=CREATED_S + 2),
    ]
    text = rendered(columns, OPENMETRICS).decode()
    assert text.count("# UNIT a_bytes_seconds seconds\n") == 1
    assert samples(text.encode()) == [f'a_bytes_seconds{{q="{q}"}} {q}.0' for q in (1, 2, 3)]
    assert caplog.messages == []
    strategy = Options(translation="UnderscoreEscapingWithoutSuffixes")
    rendered(
        [gauge("g", [({}, 1.0)], unit="s"), gauge("g", [({"a": "b"}, 1.0)], unit="By")], options=strategy
    )
    assert caplog.messages == ["'g' has two UNIT comments: 'bytes' is exposed, 'seconds' is dropped"]


def test_a_name_that_a_histogram_takes_is_not_given_twice(caplog: pytest.LogCaptureFixture) -> None:
    columns = [histogram("h", (1,), [({}, [1.0, 0.0, 1.0])]), gauge("h_sum", [({}, 9.0)])]
    assert rendered(columns).count(b"h_sum") == 1
    assert caplog.messages == [
        "the gauge 'h_sum' is not exposed: another metric has the name 'h_sum'; rename one"
    ]


def test_target_info_is_ours(caplog: pytest.LogCaptureFixture) -> None:
    columns = [gauge("target_info", [({}, 5.0)])]
    text = rendered(columns, options=Options(canonical({"a": "b"})))
    assert samples(text) == ['target_info{a="b"} 1.0']
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    ("option", "first", "second"),
    [
        ("off", "", ""),
        (
            "auto",
            'otel_scope_name="a",otel_scope_version="1",',
            'otel_scope_name="b",otel_scope_schema_url="https://example.org/2",otel_scope_team="x",otel_scope_version="2",',
        ),
    ],
)
def test_scope_labels_tell_apart_what_two_scopes_define(option: Any, first: str, second: str) -> None:
    columns = [
        counter("jobs", [({"z": "1"}, 1.0)], scope=A),
        counter("jobs", [({"z": "2"}, 2.0)], scope=B),
        gauge("alone", [({}, 3.0)], scope=B),
    ]
    assert samples(rendered(columns, options=Options(scope_labels=option))) == [
        f'jobs_total{{{first}z="1"}} 1.0',
        f'jobs_total{{{second}z="2"}} 2.0',
        "alone 3.0",
    ]


def test_scope_labels_can_be_on_everywhere() -> None:
    options = Options(scope_labels="on")
    assert samples(rendered(gauge("g", [({}, 1.0)], scope=A), options=options)) == [
        'g{otel_scope_name="a",otel_scope_version="1"} 1.0'
    ]
    assert samples(rendered(gauge("g", [({}, 1.0)], scope=Scope("")), options=options)) == ["g 1.0"]


def test_a_library_that_counts_on_behalf_gives_way_to_the_application(
    caplog: pytest.LogCaptureFixture,
) -> None:
    columns = [
        counter("http_requests", [({"method": "GET"}, 5.0)], scope=Scope("otel_obs")),
        counter("http_requests", [({"verb": "GET"}, 7.0)], scope=Scope("app")),
        gauge("only_ours", [({}, 1.0)], scope=Scope("otel_obs")),
    ]
    options = Options(yielding_scopes=frozenset({"otel_obs"}))
    assert samples(rendered(columns, options=options)) == [
        'http_requests_total{verb="GET"} 7.0',
        "only_ours 1.0",
    ]
    (message,) = caplog.messages
    assert message == (
        "'http_requests_total' is defined by the application; the one of otel_obs is not exposed; "
        "to see both, rename the application's, or ours with OTEL_OBS_NAMES or OTEL_OBS_NAMESPACE; "
        "OTEL_OBS_HTTP=off switches ours off. What the application counts with prometheus_client, or with "
        "otel_obs.prometheus, is added up over all workers too (OTEL_OBS_CLIENT)"
    )


@pytest.mark.parametrize(
    ("make", "values", "expected"),
    [
        (counter, (1.0, 2.0), "g_total 3.0"),
        (gauge, (1.0, 2.0), "g 2.0"),
    ],
)
def test_keys_that_become_equal_make_one_series(make: Any, values: tuple[float, ...], expected: str) -> None:
    name, value = expected.split(" ")
    one_table = make("g", [({"a.b": "1"}, values[0]), ({"a_b": "1"}, values[1]), ({"a_b": "2"}, 9.0)])
    assert samples(rendered(one_table)) == [f'{name}{{a_b="1"}} {value}', f'{name}{{a_b="2"}} 9.0']
    two_tables = [make("g", [({}, values[0])]), make("g", [({}, values[1])], description="again")]
    assert samples(rendered(two_tables)) == [expected]


def test_histograms_that_become_equal_are_added_up_at_the_bounds_that_both_have(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [({"a.b": "1"}, [1.0, 2.0, 3.0]), ({"a_b": "1"}, [10.0, 20.0, 30.0])]
    expected = [
        'h_bucket{a_b="1",le="5.0"} 11.0',
        'h_bucket{a_b="1",le="+Inf"} 33.0',
        'h_count{a_b="1"} 33.0',
        'h_sum{a_b="1"} 33.0',
    ]
    same = histogram("h", (5,), rows, exemplars={0: [exemplar(0, 1.0, 1.0)], 1: [exemplar(0, 2.0, 9.0)]})
    assert samples(rendered(same)) == expected
    assert " 2.0 9.0" in samples(rendered(same, OPENMETRICS))[0]
    assert caplog.messages == []
    other = histogram("h", (2, 5, 8), [({"a-b": "1"}, [1.0, 1.0, 1.0, 1.0, 9.0]), ({}, [0, 0, 0, 1.0, 9.0])])
    assert samples(rendered([same, other])) == [
        'h_bucket{a_b="1",le="5.0"} 13.0',
        'h_bucket{a_b="1",le="+Inf"} 37.0',
        'h_count{a_b="1"} 37.0',
        'h_sum{a_b="1"} 42.0',
        'h_bucket{le="2.0"} 0.0',
        'h_bucket{le="5.0"} 0.0',
        'h_bucket{le="8.0"} 0.0',
        'h_bucket{le="+Inf"} 1.0',
        "h_count 1.0",
        "h_sum 9.0",
    ]
    assert caplog.messages == []


def test_series_that_become_equal_start_with_the_first_of_them() -> None:
    first, second = (counter("c", [({}, 1.0)], created_s=at, scope=Scope(str(at))) for at in (20.0, 10.0))
    text = rendered([first, second], OPENMETRICS, Options(scope_labels="off"))
    assert samples(text) == ["c_total 2.0", "c_created 10.0"]
    assert first.table.created_s == [20.0]


def test_every_format_merges_alike() -> None:
    columns = [gauge("a.b", [({"x.y": "1"}, 1.0)]), column(Kind.UPDOWN, "a_b", [({"x_y": "1"}, 2.0)])]
    (family,) = decode(rendered(columns, PROTOBUF))
    assert len(family.metric) == 1
    assert samples(rendered(columns)) == ['a_b{x_y="1"} 1.0']


@pytest.mark.parametrize("format", [TEXT, OPENMETRICS], ids=["text", "openmetrics"])
def test_labels_may_have_an_order_of_their_own(format: Format) -> None:
    columns = [
        counter("requests", [({"a": "1", "code": "200", "method": "GET", "z": "2"}, 1), ({"a": "3"}, 2)]),
        counter("other", [({"method": "GET", "code": "200"}, 3)], created_s=CREATED_S + 1),
    ]

    def order(stream: Stream) -> tuple[str, ...]:
        return ("method", "code") if stream.name == "requests" else ()

    shown = samples(rendered(columns, format, Options(label_order=order)))
    assert [line for line in shown if "_created" not in line] == [
        'requests_total{method="GET",code="200",a="1",z="2"} 1.0',
        'requests_total{a="3"} 2.0',
        'other_total{code="200",method="GET"} 3.0',
    ]


def test_series_that_are_equal_but_for_an_order_are_one() -> None:
    columns = [
        counter("requests", [({"code": "200", "method": "GET"}, 1)], scope=Scope("a")),
        counter("requests", [({"method": "GET", "code": "200"}, 2)], scope=Scope("b")),
    ]
    options = Options(
        scope_labels="off",
        label_order=lambda stream: ("method", "code") if stream.scope.name == "b" else (),
    )
    assert samples(rendered(columns, options=options)) == ['requests_total{method="GET",code="200"} 3.0']


@pytest.mark.parametrize("base", ["orders", "theirs"])
@pytest.mark.parametrize(
    ("name", "is_in_text"),
    [("{}_total", True), ("{}", False), ("{}_created", False), ("{}_count", False), ("other", False)],
)
def test_a_family_is_asked_for_by_the_names_it_has_in_that_format(
    base: str, name: str, is_in_text: bool
) -> None:
    theirs = CounterMetricFamily("theirs", "Of a collector", value=2.0, created=CREATED_S)

    def has_it(format: Format) -> bool:
        ours = counter("orders", [({}, 1.0)])
        body = rendered(ours, format, Options(has_target_info=False), [theirs], [name.format(base)])
        return f"{base}_total".encode() in body

    assert has_it(TEXT) is is_in_text
    assert has_it(OPENMETRICS) is (is_in_text or name in ("{}", "{}_created"))
