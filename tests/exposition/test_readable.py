"""What other code yields never makes a page that strict parsers refuse; what can be repaired is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as lax

from otel_obs.cells.attributes import canonical
from otel_obs.exposition import OPENMETRICS, PROTOBUF, TEXT, Options
from tests.exposition.build import counter, rendered
from tests.exposition.schema import decode


def strict(text: str) -> list[Any]:
    return list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def metric(kind: str, *samples: tuple[str, dict[str, str], float]) -> Metric:
    made = Metric("m", "Help", kind)
    for suffix, labels, value in samples:
        made.add_sample("m" + suffix, labels, value)
    return made


def lines(*metrics: Metric) -> list[str]:
    text = rendered([], OPENMETRICS, others=metrics).decode()
    strict(text)
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_a_negative_counter_is_left_out_of_openmetrics_alone() -> None:
    odd = metric("counter", ("_total", {"a": "1"}, -5), ("_total", {"a": "2"}, 3))
    assert lines(odd) == ['m_total{a="2"} 3.0']
    assert b'm_total{a="1"} -5.0' in rendered([], TEXT, others=[odd])


def test_the_last_bucket_is_spelt_and_made_where_it_is_missing() -> None:
    odd = metric(
        "histogram",
        *(("_bucket", {"le": le}, value) for le, value in (("inf", 3), ("1", 2), ("x", 9))),
        ("_count", {}, 4),
        ("_sum", {}, 7),
        ("_bucket", {"a": "b", "le": "0.5"}, 2),
        ("_bucket", {"a": "b", "le": "2"}, 1),
        ("_count", {"a": "b"}, 6),
        ("_sum", {"a": "b"}, 8),
    )
    assert lines(odd) == [
        'm_bucket{le="1.0"} 2.0',
        'm_bucket{le="+Inf"} 3.0',
        "m_count 3.0",
        "m_sum 7.0",
        'm_bucket{a="b",le="0.5"} 2.0',
        'm_bucket{a="b",le="2.0"} 2.0',
        'm_bucket{a="b",le="+Inf"} 6.0',
        'm_count{a="b"} 6.0',
        'm_sum{a="b"} 8.0',
    ]


def test_a_count_with_a_bound_is_of_the_whole_series() -> None:
    odd = metric("histogram", ("_count", {"le": "1"}, 4), ("_sum", {"le": "1"}, 7))
    assert lines(odd) == ['m_bucket{le="+Inf"} 4.0', "m_count 4.0", "m_sum 7.0"]
    odd = metric("summary", ("_count", {"quantile": "0.5"}, 4), ("_sum", {"quantile": "0.5"}, 7))
    assert lines(odd) == ["m_count 4.0", "m_sum 7.0"]


def test_states_and_infos_are_one_or_zero() -> None:
    assert lines(metric("info", ("_info", {"v": "1"}, 7))) == ['m_info{v="1"} 1.0']
    states = metric("stateset", ("", {"m": "up"}, 1), ("", {"m": "down"}, 2), ("", {"other": "x"}, 1))
    assert lines(states) == ['m{m="up"} 1.0']


def test_labels_that_are_empty_are_none() -> None:
    assert lines(metric("gauge", ("", {"zone": ""}, 1), ("", {}, 2), ("", {"zone": "eu"}, 3))) == [
        "m 1.0",
        'm{zone="eu"} 3.0',
    ]


def test_infos_of_one_name_have_one_time_or_none() -> None:
    odd = metric("info", ("_info", {}, 1))
    odd.add_sample("m_info", {"a": "1"}, 1, 5.0)
    assert lines(odd) == ["m_info 1.0", 'm_info{a="1"} 1.0']


VALUES = st.sampled_from([0.0, 1.0, 2.0, -1.0, 0.5, 3e9, float("nan"), float("inf"), float("-inf")])
SUFFIXES = ["", "_total", "_count", "_sum", "_bucket", "_gcount", "_gsum", "_created", "_info"]
LABELS = st.dictionaries(
    st.sampled_from(["a", "le", "quantile", "m", "a.b"]),
    st.sampled_from(["", "1", "1.0", "0.5", "inf", "+Inf", "NaN", "x", "-1"]),
    max_size=3,
)
KINDS = ["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"]


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    made = Metric(
        draw(st.sampled_from(["m", "n", "m_created", "m_count"])), "Help", draw(st.sampled_from(KINDS))
    )
    for suffix, labels, value, unix_s in draw(
        st.lists(
            st.tuples(st.sampled_from(SUFFIXES), LABELS, VALUES, st.sampled_from([None, None, 5.0, 7.0])),
            max_size=8,
        )
    ):
        made.add_sample(made.name + suffix, labels, value, unix_s)
    return made


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        *(("histogram", suffix) for suffix in ("_created", "_bucket", "_count", "_sum", "")),
        *(("gaugehistogram", suffix) for suffix in ("_created", "_bucket", "_gcount", "_gsum", "")),
        *(("summary", suffix) for suffix in ("_created", "_count", "_sum", "")),
        *(("counter", suffix) for suffix in ("_created", "_total", "")),
        *(("info", suffix) for suffix in ("_info", "")),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_a_family_named_like_anothers_sample_leaves_all_readable(kind: str, suffix: str, order: int) -> None:
    many = Metric("m_seconds", "Help", kind, "seconds" if kind != "info" else "")
    for shop in ("a", "b"):
        for name, labels, value in (
            ("_bucket", {"le": "+Inf"}, 1.0),
            *(("", {"quantile": "0.5"}, 1.0),) * (kind == "summary"),
            *((name, {}, 1.0) for name in ("_count", "_sum", "_gcount", "_gsum", "_total", "_info")),
            ("_created", {}, 5.0),
        ):
            if name == "" or name in SAMPLES_OF[kind]:
                many.add_sample("m_seconds" + name, {"shop": shop, **labels}, value)
    one = Metric("m_seconds" + suffix, "Help", "gauge")
    for shop in ("a", "b"):
        one.add_sample(one.name, {"shop": shop}, 1.0)
    strict(rendered(counter("ours", [({}, 1.0)]), OPENMETRICS, others=[many, one][::order]).decode())


SAMPLES_OF = {
    "histogram": ["_bucket", "_count", "_sum", "_created"],
    "gaugehistogram": ["_bucket", "_gcount", "_gsum"],
    "summary": ["_count", "_sum", "_created"],
    "counter": ["_total", "_created"],
    "info": ["_info"],
}


@settings(deadline=None, max_examples=100)
@given(st.lists(metrics(), max_size=3))
def test_no_collector_makes_a_page_unreadable(found: list[Metric]) -> None:
    strict(rendered(counter("ours", [({}, 1.0)]), OPENMETRICS, others=found).decode())
    list(lax(rendered([], TEXT, others=found).decode()))
    decode(rendered([], PROTOBUF, others=found))


def test_a_points_own_label_stays_beside_one_of_the_resource() -> None:
    options = Options(canonical({"region": "eu", "zone": "1"}), resource_labels=("*",), has_target_info=False)
    rows = [({"region": "own"}, 1.0), ({}, 2.0)]
    text = rendered(counter("c", rows), options=options).decode()
    assert text.splitlines()[2:] == [
        'c_total{region="own",zone="1"} 1.0',
        'c_total{region="eu",zone="1"} 2.0',
    ]


def test_a_collector_that_fails_otherwise_each_time_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(5):

        def collect(number: int = number) -> Any:
            yield from ()
            raise OSError(f"attempt {number}")

        rendered([], others=collect())
        odd = Metric("odd", "", "gauge")
        odd.add_sample("odd", {}, f"value {number}")  # type: ignore[arg-type,unused-ignore]
        rendered([], others=[odd])
    assert len(caplog.messages) == 2
