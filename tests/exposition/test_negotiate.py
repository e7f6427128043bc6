"""Which format an Accept header gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_obs.exposition import OPENMETRICS, PROTOBUF, TEXT, Format, negotiate

PROTO = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
TEXT_UTF8 = Format("text", "1.0.0", "allow-utf-8")
OPENMETRICS_UTF8 = Format("openmetrics", "1.0.0", "allow-utf-8")

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        (BROWSER, TEXT),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS_UTF8),
        (f"{PROTO};q=0.6,{PROMETHEUS_2.replace('1.0.0', '1.0.0;q=0.5')}", Format("openmetrics", "0.0.1")),
        (f"{PROTO};q=0.9,{PROMETHEUS_3}", PROTOBUF),
        (f"{PROTO};escaping=allow-utf-8", Format("protobuf", "", "allow-utf-8")),
        ("application/vnd.google.protobuf", TEXT),
        ("application/vnd.google.protobuf;proto=other.Message;encoding=delimited", TEXT),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", TEXT),
        ("text/plain", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("text/plain; version=1.0.0", Format("text", "1.0.0")),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", TEXT_UTF8),
        ("text/plain;version=1.0.0;escaping=allow-utf8", TEXT_UTF8),
        ("text/plain;version=0.0.4;escaping=dots", Format("text", "0.0.4", "dots")),
        ("text/plain;version=1.0.0;escaping=values", Format("text", "1.0.0", "values")),
        ("text/plain;version=1.0.0;escaping=nonsense", Format("text", "1.0.0")),
        ("text/plain;version=9, application/openmetrics-text;q=0.1", OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0", TEXT),
        ("application/openmetrics-text;version=0.0.1", Format("openmetrics", "0.0.1")),
        ("text/plain;q=0.5, application/openmetrics-text;q=0.6", OPENMETRICS),
        ("text/plain;q=0.6, application/openmetrics-text;q=0.5", TEXT),
        ("text/plain, application/openmetrics-text", TEXT),
        ("application/openmetrics-text, text/plain", OPENMETRICS),
        ("application/openmetrics-text;q=0, text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("text/plain;q=0, */*;q=0.1", OPENMETRICS),
        ("text/plain;q=0.5, */*;q=0.9", OPENMETRICS),
        ("text/*;q=0.5, */*;q=0.9", OPENMETRICS),
        ("text/*;q=0.5, text/plain;q=0.9, application/*;q=0.7", TEXT),
        ("text/plain;q=0.5, text/*;q=0.9, application/*;q=0.7", OPENMETRICS),
        ("*/*;q=0.9, text/plain;q=0.5, application/openmetrics-text;q=0.6", PROTOBUF),
        ("*/*, text/plain;q=0, application/*;q=0", TEXT),
        ("*/*;q=0", TEXT),
        ("application/*", OPENMETRICS),
        ("text/*", TEXT),
        ('APPLICATION/OpenMetrics-Text; Version="1.0.0"; Q=1', OPENMETRICS),
        ('text/plain;note="a,b;c=\\"d";version="1.0.0"', Format("text", "1.0.0")),
        ("application/openmetrics-text;q=high, text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=nan", TEXT),
        ("application/openmetrics-text;q=2, text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=1.001", TEXT),
        ("application/openmetrics-text;q=inf, text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=-1, text/plain;q=0.1", TEXT),
        ("text/plain;q=0.9, application/openmetrics-text;q=1.0", OPENMETRICS),
        ("image/png", TEXT),
        (",;=,;;", TEXT),
    ],
)
def test_an_accept_header_gets_a_format(accept: str | None, expected: Format) -> None:
    assert negotiate(accept) == expected


@pytest.mark.parametrize(
    ("format", "media_type", "content_type"),
    [
        (TEXT, "text/plain; version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        (
            TEXT_UTF8,
            "text/plain; version=1.0.0; escaping=allow-utf-8",
            "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        ),
        (
            OPENMETRICS,
            "application/openmetrics-text; version=1.0.0; escaping=underscores",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        (
            Format("openmetrics", "0.0.1"),
            "application/openmetrics-text; version=0.0.1",
            "application/openmetrics-text; version=0.0.1; charset=utf-8",
        ),
        (
            PROTOBUF,
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        ),
    ],
)
def test_a_format_has_a_content_type(format: Format, media_type: str, content_type: str) -> None:
    assert format.media_type == media_type
    assert format.content_type == content_type


@given(st.text(alphabet='*/;,="\\ qtexplain01.', max_size=60) | st.text())
def test_no_header_is_too_odd(accept: str) -> None:
    assert negotiate(accept).content_type.isascii()


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ('text/plain;q=0.1;note="open, application/openmetrics-text', OPENMETRICS),
        ('text/plain;q=0.1;note="\\", application/openmetrics-text', OPENMETRICS),
        ('text/plain;q=0.1;note="\\\\", application/openmetrics-text', OPENMETRICS),
        ('text/plain;q=0.1;note="\\", application/openmetrics-text"', TEXT),
    ],
)
def test_a_quote_that_is_never_closed_is_a_character(accept: str, expected: Format) -> None:
    assert negotiate(accept) == expected


def test_a_header_is_looked_at_as_far_as_scrapers_write() -> None:
    assert negotiate("a," * 1000 + "application/openmetrics-text") == TEXT  # too many media ranges
    assert negotiate(" " * 5000 + "application/openmetrics-text") == TEXT
    assert negotiate(" " * 1000 + "application/openmetrics-text") == OPENMETRICS
