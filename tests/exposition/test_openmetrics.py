"""OpenMetrics 1.0: whole expositions, and what the format forbids."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from otel_obs.cells.attributes import canonical
from otel_obs.cells.layout import Kind
from otel_obs.cells.snapshot import Exemplar, ExponentialValue
from otel_obs.exposition import OPENMETRICS, Format, Options
from tests.exposition.build import (
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
)


def lines(*columns: object, options: Options | None = None) -> list[str]:
    """The samples of an exposition."""
    text = rendered(columns, OPENMETRICS, options or Options()).decode()  # type: ignore[arg-type]
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_nothing_is_an_end() -> None:
    assert rendered([], OPENMETRICS) == b"# EOF\n"


def test_a_whole_exposition() -> None:
    columns = one_of_each({}, [exemplar(1, 0.75, 1700000003.0), exemplar(1, 0.7, 1700000002.0)])
    resource = canonical({"service.name": "shop"})
    assert rendered(columns, OPENMETRICS, Options(resource)).decode() == (
        "# HELP target Target metadata\n"
        "# TYPE target info\n"
        'target_info{service_name="shop"} 1.0\n'
        "# HELP http_request_duration_seconds \n"
        "# TYPE http_request_duration_seconds histogram\n"
        "# UNIT http_request_duration_seconds seconds\n"
        'http_request_duration_seconds_bucket{le="0.5"} 1.0\n'
        'http_request_duration_seconds_bucket{le="1.0"} 3.0'
        f' # {{trace_id="{TRACE_ID}",span_id="{SPAN_ID}"}} 0.75 1700000003.0\n'
        'http_request_duration_seconds_bucket{le="+Inf"} 3.0\n'
        "http_request_duration_seconds_count 3.0\n"
        "http_request_duration_seconds_sum 2.5\n"
        "http_request_duration_seconds_created 1.7000000005e+09\n"
        '# HELP http_requests Total \\"HTTP\\" requests\n'
        "# TYPE http_requests counter\n"
        'http_requests_total{method="GET"} 5.0'
        f' # {{trace_id="{TRACE_ID}",span_id="{SPAN_ID}",user="u"}} 2.0 1700000002.5\n'
        'http_requests_created{method="GET"} 1.7000000005e+09\n'
        'http_requests_total{method="PUT"} 1.0\n'
        'http_requests_created{method="PUT"} 1.7000000005e+09\n'
        "# HELP temperature_celsius \n"
        "# TYPE temperature_celsius gauge\n"
        "# UNIT temperature_celsius celsius\n"
        "temperature_celsius -3.5\n"
        "# EOF\n"
    )


def test_a_counter_keeps_its_unit_between_name_and_total() -> None:
    text = rendered(counter("sent", [({}, 1.0)], unit="By"), OPENMETRICS).decode()
    assert text.startswith(
        "# HELP sent_bytes \n# TYPE sent_bytes counter\n# UNIT sent_bytes bytes\nsent_bytes_total 1.0\n"
    )


def test_a_counter_without_total_is_unknown_and_keeps_its_name() -> None:
    strategy = Options(translation="UnderscoreEscapingWithoutSuffixes")
    sent = counter("sent", [({}, 1.0)], unit="By", exemplars={0: [exemplar(0, 1.0, 1.0)]})
    assert rendered(sent, OPENMETRICS, strategy).decode() == (
        "# HELP sent \n# TYPE sent unknown\nsent 1.0\n# EOF\n"
    )


def test_utf8_names_are_quoted() -> None:
    format = Format("openmetrics", "1.0.0", "allow-utf-8")
    requests = counter("http.requests", [({"http.route": "/"}, 1.0)])
    assert rendered(requests, format, Options(translation="NoUTF8EscapingWithSuffixes")).decode() == (
        '# HELP "http.requests" \n'
        '# TYPE "http.requests" counter\n'
        '{"http.requests_total","http.route"="/"} 1.0\n'
        '{"http.requests_created","http.route"="/"} 1.7000000005e+09\n'
        "# EOF\n"
    )


@pytest.mark.parametrize("created_s", [0.0, -1.0, float("nan"), float("inf")])
def test_an_unknown_start_is_not_written(created_s: float) -> None:
    assert lines(counter("c", [({}, 1.0)], created_s=created_s)) == ["c_total 1.0"]


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("-inf")])
def test_what_no_counter_can_be_is_left_out(value: float) -> None:
    assert lines(counter("c", [({"a": "1"}, value), ({"a": "2"}, 1.0)], created_s=0.0)) == [
        'c_total{a="2"} 1.0'
    ]


@pytest.mark.parametrize(
    ("bounds", "row"),
    [
        ((-1.0, 1.0), [1.0, 0.0, 0.0, -5.0]),
        ((0.0, 1.0), [1.0, 0.0, 0.0, -5.0]),
        ((0.0, 1.0), [1.0, 0.0, 0.0, float("nan")]),
    ],
)
def test_a_sum_that_is_no_counter_is_left_out_with_the_count(
    bounds: tuple[float, ...], row: list[float]
) -> None:
    written = lines(histogram("h", bounds, [({}, row)], created_s=0.0))
    assert written == [
        f'h_bucket{{le="{bounds[0]}"}} 1.0',
        'h_bucket{le="1.0"} 1.0',
        'h_bucket{le="+Inf"} 1.0',
    ]


@pytest.mark.parametrize(
    "row",
    [
        [-1.0, 2.0, 1.0],
        [0.5, 0.0, 1.0],
        [float("nan"), 0.0, 1.0],
        [float("inf"), 0.0, 1.0],
        [1e-8, 2.0**30, 1.0],
    ],
)
def test_buckets_that_are_no_counts_are_left_out(row: list[float]) -> None:
    assert lines(histogram("h", (1,), [({"a": "1"}, row), ({}, [0.0, 0.0, 0.0])], created_s=0.0)) == [
        'h_bucket{le="1.0"} 0.0',
        'h_bucket{le="+Inf"} 0.0',
        "h_count 0.0",
        "h_sum 0.0",
    ]


def exemplar_of(one: Exemplar) -> str:
    (line,) = lines(counter("c", [({}, 1.0)], created_s=0.0, exemplars={0: [one]}))
    return line.partition(" # ")[2]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (Exemplar(0, 1.0, 2.0, "", ""), "{} 1.0 2.0"),
        (Exemplar(0, 1.0, float("nan"), "ab", ""), '{trace_id="ab"} 1.0'),
        (
            Exemplar(0, 1e6, 2.0, "ab", "cd", canonical({"a.b": 'x"'})),
            '{trace_id="ab",span_id="cd",a_b="x\\""} 1e+06 2.0',
        ),
        (
            Exemplar(0, 1.0, 2.0, "ab", "cd", canonical({"trace_id": "mine"})),
            '{trace_id="ab",span_id="cd"} 1.0 2.0',
        ),
        (Exemplar(0, 1.0, 2.0, "", "", canonical({"trace_id": "mine"})), '{trace_id="mine"} 1.0 2.0'),
    ],
)
def test_an_exemplar_has_the_trace_and_then_the_filtered_attributes(one: Exemplar, expected: str) -> None:
    assert exemplar_of(one) == expected


def test_filtered_attributes_that_pass_128_runes_are_left_out() -> None:
    ids = f'{{trace_id="{TRACE_ID}",span_id="{SPAN_ID}"'
    room = 128 - len("trace_id") - len(TRACE_ID) - len("span_id") - len(SPAN_ID) - len("key")
    fits, does_not = (exemplar(0, 1.0, 2.0, key="ü" * length) for length in (room, room + 1))
    assert exemplar_of(fits) == f'{ids},key="{"ü" * room}"}} 1.0 2.0'
    assert exemplar_of(does_not) == f"{ids}}} 1.0 2.0"
    assert exemplar_of(Exemplar(0, 1.0, 2.0, "f" * 200, "")) == "{} 1.0 2.0"


def test_the_latest_exemplar_of_each_bucket_is_shown() -> None:
    some = [exemplar(0, 0.1, 5.0), exemplar(0, 0.2, 9.0), exemplar(2, 7.0, 3.0), exemplar(9, 7.0, 3.0)]
    h = histogram("h", (1, 5), [({"a": "b"}, [2.0, 0.0, 1.0, 7.3])], exemplars={0: some}, created_s=0.0)
    ids = f'{{trace_id="{TRACE_ID}",span_id="{SPAN_ID}"}}'
    assert lines(h) == [
        f'h_bucket{{a="b",le="1.0"}} 2.0 # {ids} 0.2 9.0',
        'h_bucket{a="b",le="5.0"} 2.0',
        f'h_bucket{{a="b",le="+Inf"}} 3.0 # {ids} 7.0 3.0',
        'h_count{a="b"} 3.0',
        'h_sum{a="b"} 7.3',
    ]


def test_an_exponential_histogram_keeps_its_exemplars_in_the_bucket_of_their_value() -> None:
    value = ExponentialValue(0, 0, 3.0, 0, [0, 1], 0, [])
    h = exponential("h", [({}, value)], exemplars={0: [exemplar(0, 3.0, 9.0)]}, created_s=0.0)
    assert [line for line in lines(h) if "trace_id" in line] == [
        f'h_bucket{{le="4.0"}} 1.0 # {{trace_id="{TRACE_ID}",span_id="{SPAN_ID}"}} 3.0 9.0'
    ]


def test_a_counter_whose_names_openmetrics_reserves_for_another_is_unknown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    columns = [counter("jobs", [({}, 1.0)], created_s=1.0), gauge("jobs", [({}, 2.0)], created_s=2.0)]
    assert rendered(columns).count(b"# TYPE jobs_total counter") == 1
    for _ in range(2):
        assert rendered(columns, OPENMETRICS).decode() == (
            "# HELP jobs_total \n# TYPE jobs_total unknown\njobs_total 1.0\n"
            "# HELP jobs \n# TYPE jobs gauge\njobs 2.0\n# EOF\n"
        )
    (message,) = caplog.messages
    assert message == (
        "the counter 'jobs_total' is of unknown type in OpenMetrics: "
        "another metric has the name 'jobs'; rename one"
    )


def test_of_two_counters_the_same_is_unknown_whichever_began_first() -> None:
    for first, second in ((1.0, 2.0), (2.0, 1.0)):
        columns = [
            counter("orders", [({}, 5.0)], created_s=first),
            counter("orders.created", [({}, 3.0)], created_s=second),
        ]
        text = rendered(columns, OPENMETRICS).decode()
        types = [line for line in text.splitlines() if line.startswith("# TYPE")]
        assert sorted(types) == ["# TYPE orders counter", "# TYPE orders_created_total unknown"]
        assert {"orders_total 5.0", "orders_created_total 3.0"} <= set(text.splitlines())
        list(parse(text))  # type: ignore[no-untyped-call]


def test_a_histogram_whose_start_another_metric_is_called_is_unknown() -> None:
    columns = [
        histogram("jobs", (1,), [({}, [1.0, 1.0, 2.5]), ({"a": "b"}, [0.0, 1.0, 9.0])]),
        gauge("jobs_created", [({}, 7.0)]),
    ]
    text = rendered(columns, OPENMETRICS).decode()
    assert text == (
        "# HELP jobs_bucket \n# TYPE jobs_bucket unknown\n"
        'jobs_bucket{le="1.0"} 1.0\njobs_bucket{le="+Inf"} 2.0\n'
        'jobs_bucket{a="b",le="1.0"} 0.0\njobs_bucket{a="b",le="+Inf"} 1.0\n'
        "# HELP jobs_count \n# TYPE jobs_count unknown\n"
        'jobs_count 2.0\njobs_count{a="b"} 1.0\n'
        "# HELP jobs_sum \n# TYPE jobs_sum unknown\n"
        'jobs_sum 2.5\njobs_sum{a="b"} 9.0\n'
        "# HELP jobs_created \n# TYPE jobs_created gauge\njobs_created 7.0\n# EOF\n"
    )
    list(parse(text))  # type: ignore[no-untyped-call]


def test_a_histogram_of_unknown_type_renames_a_label_le_of_its_own_as_any_other() -> None:
    columns = [histogram("jobs", (1,), [({"le": "b"}, [1.0, 1.0, 2.5])]), gauge("jobs_created", [({}, 7.0)])]
    for accepted in (OPENMETRICS, Format("openmetrics2", "2.0.0")):
        text = rendered(columns, accepted).decode()
        assert 'exported_le="b"' in text
        assert '{le="b"' not in text
    text = rendered(columns, OPENMETRICS).decode()
    assert 'jobs_bucket{exported_le="b",le="1.0"} 1.0\n' in text
    list(parse(text))  # type: ignore[no-untyped-call]


def test_an_updown_counter_has_neither_start_nor_exemplar() -> None:
    u = column(Kind.UPDOWN, "u", [({}, -1.0)], exemplars={0: [exemplar(0, 1.0, 1.0)]})
    assert lines(u) == ["u -1.0"]
