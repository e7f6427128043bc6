"""Text 0.0.4: whole expositions, as a person reads them."""

from __future__ import annotations

import pytest

from otel_obs.cells.attributes import canonical
from otel_obs.cells.layout import Kind
from otel_obs.cells.snapshot import ExponentialValue
from otel_obs.exposition import Format, Options
from tests.exposition.build import (
    TRACE_ID,
    column,
    counter,
    exemplar,
    exponential,
    gauge,
    histogram,
    rendered,
)

UTF8 = Format("text", "1.0.0", "allow-utf-8")


def test_nothing_is_an_empty_exposition() -> None:
    assert rendered([]) == b""


def test_a_counter() -> None:
    rows = [({"method": "GET", "code": 200}, 5.0), ({"method": "POST", "code": 500}, 1234567.0)]
    assert rendered(counter("http_requests", rows, description="Total HTTP requests")).decode() == (
        "# HELP http_requests_total Total HTTP requests\n"
        "# TYPE http_requests_total counter\n"
        'http_requests_total{code="200",method="GET"} 5.0\n'
        'http_requests_total{code="500",method="POST"} 1.234567e+06\n'
    )


def test_gauges_hold_any_number() -> None:
    numbers = [0.0, -1.5, 1e300, float("inf"), float("-inf"), float("nan")]
    assert rendered(gauge("g", [({"at": at}, value) for at, value in enumerate(numbers)])).decode() == (
        "# HELP g \n"
        "# TYPE g gauge\n"
        'g{at="0"} 0.0\n'
        'g{at="1"} -1.5\n'
        'g{at="2"} 1e+300\n'
        'g{at="3"} +Inf\n'
        'g{at="4"} -Inf\n'
        'g{at="5"} NaN\n'
    )


def test_an_updown_counter_is_a_gauge() -> None:
    in_progress = column(Kind.UPDOWN, "http_requests_in_progress", [({}, 3.0)])
    assert rendered(in_progress).decode() == (
        "# HELP http_requests_in_progress \n"
        "# TYPE http_requests_in_progress gauge\n"
        "http_requests_in_progress 3.0\n"
    )


def test_a_histogram_is_cumulative_and_ends_with_its_count_and_sum() -> None:
    rows = [({"method": "GET"}, [3.0, 0.0, 2.0, 1.0, 12.25]), ({}, [0.0, 0.0, 0.0, 0.0, 0.0])]
    duration = histogram("http_request_duration", (0.01, 1, 2.5), rows, unit="s", description="Duration")
    assert rendered(duration).decode() == (
        "# HELP http_request_duration_seconds Duration\n"
        "# TYPE http_request_duration_seconds histogram\n"
        'http_request_duration_seconds_bucket{method="GET",le="0.01"} 3.0\n'
        'http_request_duration_seconds_bucket{method="GET",le="1.0"} 3.0\n'
        'http_request_duration_seconds_bucket{method="GET",le="2.5"} 5.0\n'
        'http_request_duration_seconds_bucket{method="GET",le="+Inf"} 6.0\n'
        'http_request_duration_seconds_count{method="GET"} 6.0\n'
        'http_request_duration_seconds_sum{method="GET"} 12.25\n'
        'http_request_duration_seconds_bucket{le="0.01"} 0.0\n'
        'http_request_duration_seconds_bucket{le="1.0"} 0.0\n'
        'http_request_duration_seconds_bucket{le="2.5"} 0.0\n'
        'http_request_duration_seconds_bucket{le="+Inf"} 0.0\n'
        "http_request_duration_seconds_count 0.0\n"
        "http_request_duration_seconds_sum 0.0\n"
    )


@pytest.mark.parametrize(
    ("row", "numbers"),
    [
        ([999_998.0, 1.0, -2.5], ["999998.0", "999999.0", "999999.0", "-2.5"]),
        ([999_999.0, 1.0, 2e9], ["999999.0", "1e+06", "1e+06", "2e+09"]),
        ([1.0, 0.5, float("inf")], ["1.0", "1.5", "1.5", "+Inf"]),
        ([float("nan"), 1.0, float("nan")], ["NaN", "NaN", "NaN", "NaN"]),
        ([1.0, float("inf"), 0.1], ["1.0", "+Inf", "+Inf", "0.1"]),
        ([1, 2, 3], ["1.0", "3.0", "3.0", "3.0"]),
    ],
)
def test_any_number_in_a_histogram_is_spelt_as_elsewhere(row: list[float], numbers: list[str]) -> None:
    lines = rendered(histogram("h", (5,), [({}, row)])).decode().splitlines()[2:]
    assert [line.split(" ")[1] for line in lines] == numbers


def test_a_bound_of_infinity_is_the_last_bucket() -> None:
    expected = rendered(histogram("h", (1,), [({}, [1.0, 5.0, 9.0])]))
    assert rendered(histogram("h", (1, float("inf")), [({}, [1.0, 2.0, 3.0, 9.0])])) == expected


def test_what_would_break_a_line_is_escaped() -> None:
    odd = gauge("g", [({"path": 'a"b\\c\nd\re\0', "ü": "ü"}, 1.0)], description='say "hi"\\\nnow')
    assert rendered(odd).decode() == (
        '# HELP g say "hi"\\\\\\nnow\n# TYPE g gauge\ng{_="ü",path="a\\"b\\\\c\\nd\re\0"} 1.0\n'
    )


def test_percent_signs_stand_for_themselves() -> None:
    strategy = Options(translation="NoTranslation")
    odd = histogram("100%s %d", (1,), [({"%s": "%d%%"}, [1.0, 0.0, 0.5])])
    assert rendered(odd, UTF8, strategy).decode() == (
        '# HELP "100%s %d" \n'
        '# TYPE "100%s %d" histogram\n'
        '{"100%s %d_bucket","%s"="%d%%",le="1.0"} 1.0\n'
        '{"100%s %d_bucket","%s"="%d%%",le="+Inf"} 1.0\n'
        '{"100%s %d_count","%s"="%d%%"} 1.0\n'
        '{"100%s %d_sum","%s"="%d%%"} 0.5\n'
    )


def test_utf8_names_are_quoted_and_stand_in_the_braces() -> None:
    strategy = Options(translation="NoUTF8EscapingWithSuffixes")
    columns = [
        counter("http.requests", [({"http.route": "/"}, 1.0), ({}, 2.0)]),
        gauge("plain", [({"http.route": "/"}, 1.0)]),
    ]
    assert rendered(columns, UTF8, strategy).decode() == (
        '# HELP "http.requests_total" \n'
        '# TYPE "http.requests_total" counter\n'
        '{"http.requests_total","http.route"="/"} 1.0\n'
        '{"http.requests_total"} 2.0\n'
        "# HELP plain \n"
        "# TYPE plain gauge\n"
        'plain{"http.route"="/"} 1.0\n'
    )


def test_the_resource_is_target_info() -> None:
    resource = canonical({"service.name": "shop", "host.cpus": 4, "tags": ["a", "b"]})
    expected = (
        "# HELP target_info Target metadata\n"
        "# TYPE target_info gauge\n"
        'target_info{host_cpus="4",service_name="shop",tags="[\\"a\\", \\"b\\"]"} 1.0\n'
    )
    assert rendered([], options=Options(resource)).decode() == expected
    assert rendered([], options=Options(resource, has_target_info=False)) == b""


def test_resource_attributes_become_labels_on_request_and_leave_a_points_own() -> None:
    resource = canonical({"service.name": "shop", "k8s.pod": "p-1", "k8s.node": "n-1"})
    options = Options(resource, resource_labels=("k8s.*",), has_target_info=False)
    assert rendered(gauge("g", [({"k8s_pod": "mine"}, 1.0)]), options=options).decode() == (
        '# HELP g \n# TYPE g gauge\ng{k8s_node="n-1",k8s_pod="mine"} 1.0\n'
    )


def test_exemplars_have_no_place_in_it() -> None:
    with_exemplar = counter("c", [({}, 1.0)], exemplars={0: [exemplar(0, 1.0, 1.0)]})
    assert TRACE_ID.encode() not in rendered(with_exemplar)


def test_an_exponential_histogram_becomes_a_classic_one_with_fixed_bounds() -> None:
    value = ExponentialValue(
        0, 2, 100.0, 0, [1, 0, 0, 4], 0, [3]
    )  # (1, 2]: 1; (8, 16]: 4; zeros 2; negative 3
    lines = rendered(exponential("size", [({"a": "b"}, value)], unit="By")).decode().splitlines()
    assert lines[:2] == ["# HELP size_bytes ", "# TYPE size_bytes histogram"]
    assert lines[7:12] == [
        'size_bytes_bucket{a="b",le="0.25"} 5.0',
        'size_bytes_bucket{a="b",le="1.0"} 5.0',
        'size_bytes_bucket{a="b",le="4.0"} 6.0',
        'size_bytes_bucket{a="b",le="16.0"} 10.0',
        'size_bytes_bucket{a="b",le="64.0"} 10.0',
    ]
    assert lines[-3:] == [
        'size_bytes_bucket{a="b",le="+Inf"} 10.0',
        'size_bytes_count{a="b"} 10.0',
        'size_bytes_sum{a="b"} 100.0',
    ]


def test_only_families_that_were_asked_for() -> None:
    columns = [
        counter("a", [({}, 1.0)]),
        gauge("b", [({}, 2.0)]),
        histogram("c", (1,), [({}, [1.0, 0.0, 1.0])]),
    ]
    b = b"# HELP b \n# TYPE b gauge\nb 2.0\n"
    assert rendered(columns, names=["b"]) == b
    assert rendered(columns, names=["c_sum", "b"]).startswith(b + b"# HELP c ")
    assert rendered(columns, names=["nothing", "a"]).count(b"# TYPE") == 0
    assert rendered(columns, names=["a_total"]).count(b"# TYPE") == 1
    assert rendered(columns, names=[]) == b""


def test_a_family_without_series_is_announced() -> None:
    assert (
        rendered(counter("c", [], description="Later")) == b"# HELP c_total Later\n# TYPE c_total counter\n"
    )


def test_chunks_are_small_and_labels_are_encoded_once() -> None:
    from otel_obs.exposition import render
    from tests.exposition.build import snapshot

    rows = [({"at": at}, [1.0, 0.0, 1.0]) for at in range(10_000)]
    column = histogram("h", (1,), rows)
    cold, warm = (list(render(snapshot(column))) for _ in range(2))
    assert b"".join(cold) == b"".join(warm)
    assert max(chunk.count(b"\n") for chunk in warm) <= 2500
    assert len(cold) - len(warm) == 10  # empty: a pause after every thousand label blocks
    assert len(column.table.scratch) == 1
