"""Numbers and escapes, against prometheus_client as the oracle."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics import exposition as client
from prometheus_client.utils import floatToGoString

from otel_obs.exposition.lexical import (
    Escaping,
    escape_help,
    escape_help_openmetrics,
    escape_label,
    escape_name,
    escape_value,
    number,
    quoted_label,
    quoted_name,
    to_utf8,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (5, "5.0"),
        (0.1, "0.1"),
        (1e-07, "1e-07"),
        (999999.0, "999999.0"),
        (1000000.0, "1e+06"),
        (1234567.0, "1.234567e+06"),
        (-1234567.0, "-1234567.0"),
        (1e15, "1e+15"),
        (123456789012345.6, "1.234567890123456e+14"),
        (1e16, "1e+16"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_a_number_is_spelt_as_go_does(value: float, expected: str) -> None:
    assert number(value) == expected


@given(st.floats() | st.integers(-(2**60), 2**60).map(float) | st.floats(1e5, 1e17))
def test_every_float_is_spelt_as_prometheus_client_does(value: float) -> None:
    spelt = floatToGoString(value)  # type: ignore[no-untyped-call]
    theirs = re.sub(r"e\+0(\d\d)$", r"e+\1", spelt)  # 0.19 wrote 1e+010
    assert number(value) == theirs


def test_only_openmetrics_escapes_quotes_in_help() -> None:
    text = 'a "b" \\ c\nd'
    assert escape_help(text) == 'a "b" \\\\ c\\nd'
    assert escape_help_openmetrics(text) == 'a \\"b\\" \\\\ c\\nd'
    assert escape_value(text) == 'a \\"b\\" \\\\ c\\nd'


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert to_utf8("a\ud800b") == "a\ufffdb".encode()
    assert to_utf8("grün") == "grün".encode()


def test_names_that_are_not_classic_are_quoted() -> None:
    assert [quoted_name(name) for name in ("a:b", "a.b", '"', "a\n", "1a")] == [
        "a:b",
        '"a.b"',
        '"\\""',
        '"a\\n"',
        '"1a"',
    ]
    assert [quoted_label(name) for name in ("a_b", "a:b")] == ["a_b", '"a:b"']


@pytest.mark.skipif(not hasattr(client, "UNDERSCORES"), reason="this prometheus_client escapes no names")
@given(
    st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1)
    | st.text("a.b_:1", min_size=1),
    st.sampled_from(["underscores", "dots", "values"]),
)
def test_names_are_escaped_as_prometheus_client_does(name: str, escaping: Escaping) -> None:
    assert escape_name(name, escaping) == client.escape_metric_name(name, escaping)
    if not name.startswith("__"):
        assert escape_label(name, escaping) == client.escape_label_name(name, escaping)
