"""OpenTelemetry names to Prometheus names: one table a rule."""

from __future__ import annotations

import pytest

from otel_obs.cells.attributes import canonical, label_value
from otel_obs.cells.layout import Kind, Scope, Stream
from otel_obs.exposition import family_name
from otel_obs.exposition.names import (
    Spelling,
    join_labels,
    sanitize_label,
    scope_attributes,
    unit_word,
)

UTF8 = Spelling("NoUTF8EscapingWithSuffixes", "allow-utf-8")


@pytest.mark.parametrize(
    ("kind", "name", "unit", "expected"),
    [
        (Kind.COUNTER, "http_requests", "", "http_requests_total"),
        (Kind.COUNTER, "http.requests", "{request}", "http_requests_total"),
        (Kind.COUNTER, "http_requests_total", "", "http_requests_total"),
        (Kind.COUNTER, "total", "", "total_total"),
        (Kind.COUNTER, "_total", "", "_total_total"),
        (Kind.COUNTER, "sent", "By", "sent_bytes_total"),
        (Kind.COUNTER, "sent_bytes", "By", "sent_bytes_total"),
        (Kind.COUNTER, "sent_total", "By", "sent_bytes_total"),
        (Kind.COUNTER, "sent_bytes_total", "By", "sent_bytes_total"),
        (Kind.COUNTER, "ratio_ish", "1", "ratio_ish_total"),
        (Kind.UPDOWN, "http_requests_in_progress", "", "http_requests_in_progress"),
        (Kind.UPDOWN, "queue_total", "", "queue_total"),
        (Kind.GAUGE, "cache_hit_rate", "1", "cache_hit_rate"),
        (Kind.GAUGE, "cpu", "%", "cpu_percent"),
        (Kind.GAUGE, "cpu_percent", "%", "cpu_percent"),
        (Kind.GAUGE, "bytes", "By", "bytes"),
        (Kind.GAUGE, "kilobytes", "By", "kilobytes_bytes"),
        (Kind.GAUGE, "speed", "m/s", "speed_meters_per_second"),
        (Kind.HISTOGRAM, "http_request_duration", "s", "http_request_duration_seconds"),
        (Kind.HISTOGRAM, "http_request_duration_seconds", "s", "http_request_duration_seconds"),
        (Kind.EXPONENTIAL, "latency", "ms", "latency_milliseconds"),
        (Kind.GAUGE, "a.b-c/d", "", "a_b_c_d"),
        (Kind.GAUGE, "a..b__c", "", "a_b_c"),
        (Kind.GAUGE, "a.", "By", "a_bytes"),
        (Kind.GAUGE, "ns:a", "", "ns:a"),
        (Kind.GAUGE, "1st", "", "_st"),
        (Kind.GAUGE, "größe", "", "gr_e"),
        (Kind.GAUGE, "", "", "_"),
        (Kind.GAUGE, "pay\0load", "", "pay_load"),
    ],
)
def test_a_stream_becomes_a_family(kind: Kind, name: str, unit: str, expected: str) -> None:
    assert family_name(Stream(kind, name, unit)) == expected


@pytest.mark.parametrize(
    ("unit", "word"),
    [
        *[("d", "days"), ("h", "hours"), ("min", "minutes"), ("s", "seconds"), ("ms", "milliseconds")],
        *[("us", "microseconds"), ("ns", "nanoseconds"), ("By", "bytes"), ("KiBy", "kibibytes")],
        *[("MiBy", "mebibytes"), ("GiBy", "gibibytes"), ("TiBy", "tebibytes"), ("kBy", "kilobytes")],
        *[("MBy", "megabytes"), ("GBy", "gigabytes"), ("TBy", "terabytes"), ("m", "meters")],
        *[("V", "volts"), ("A", "amperes"), ("J", "joules"), ("W", "watts"), ("g", "grams")],
        *[("Cel", "celsius"), ("Hz", "hertz"), ("%", "percent"), ("1", ""), ("", "")],
        *[("{packet}", ""), ("{a}{b}", ""), ("{open", ""), ("By{sent}", "bytes")],
        *[("m/s", "meters_per_second"), ("By/min", "bytes_per_minute"), ("{request}/s", "per_second")],
        *[("1/s", "per_second"), ("s/{request}", "seconds"), ("USD", "USD"), ("a b", "a_b"), ("__x__", "x")],
    ],
)
def test_a_unit_becomes_a_word(unit: str, word: str) -> None:
    assert unit_word(unit) == word


@pytest.mark.parametrize(
    ("naming", "expected"),
    [
        (Spelling(), "foo_bar_bytes_total"),
        (Spelling("UnderscoreEscapingWithSuffixes", "allow-utf-8"), "foo_bar_bytes_total"),
        (Spelling("UnderscoreEscapingWithoutSuffixes"), "foo_bar"),
        (Spelling("UnderscoreEscapingWithoutSuffixes", "allow-utf-8"), "foo_bar"),
        (Spelling("NoUTF8EscapingWithSuffixes"), "foo_bar_bytes_total"),
        (UTF8, "foo.bar_bytes_total"),
        (Spelling("NoTranslation"), "foo_bar"),
        (Spelling("NoTranslation", "allow-utf-8"), "foo.bar"),
        (Spelling("NoTranslation", "dots"), "foo_dot_bar"),
        (Spelling("NoTranslation", "values"), "U__foo_2e_bar"),
        (Spelling("UnderscoreEscapingWithSuffixes", "dots"), "foo__bar__bytes__total"),
        (Spelling("UnderscoreEscapingWithSuffixes", "values"), "foo_bar_bytes_total"),
    ],
)
def test_the_strategy_is_the_services_and_the_escaping_the_scrapers(naming: Spelling, expected: str) -> None:
    stream = Stream(Kind.COUNTER, "foo.bar", "By")
    assert naming.family(stream) == expected
    assert naming.normal().family(stream) == expected


@pytest.mark.parametrize(
    ("key", "classic", "utf8"),
    [
        ("method", "method", "method"),
        ("http.route", "http_route", "http.route"),
        ("a..b", "a_b", "a..b"),
        ("a:b", "a_b", "a:b"),
        ("__name__", "_name_", "_name__"),
        ("2xx", "_xx", "2xx"),
        ("", "_", "_"),
        ("größe", "gr_e", "größe"),
        ("a\0b", "a_b", "a_b"),
    ],
)
def test_a_key_becomes_a_label(key: str, classic: str, utf8: str) -> None:
    assert Spelling().label(key) == classic
    assert UTF8.label(key) == utf8
    assert sanitize_label(key) in (classic, "")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("GET", "GET"),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (200, "200"),
        (1.0, "1.0"),
        (1e300, "1e+300"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (None, ""),
        (b"hello world", "aGVsbG8gd29ybGQ="),
        ([], "[]"),
        (["a", "ü"], '["a", "ü"]'),
        (
            [1, float("-inf"), "a", True, None, b"hello world"],
            '[1, "-Infinity", "a", true, null, "aGVsbG8gd29ybGQ="]',
        ),
        ({"a": float("-inf"), "b": 2, "c": [3, None]}, '{"a": "-Infinity", "b": 2, "c": [3, null]}'),
    ],
)
def test_a_value_is_spelt_as_the_specification_says(value: object, expected: str) -> None:
    ((_, frozen),) = canonical({"key": value})
    assert label_value(frozen) == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"b": "2", "a": "1"}, (("a", "1"), ("b", "2"))),
        ({"a.b": "dot", "a_b": "under"}, (("a_b", "dot;under"),)),
        ({"a_b": "under", "a-b": "dash", "a.b": "dot"}, (("a_b", "dash;dot;under"),)),
        ({"a.b": 1, "a_b": True}, (("a_b", "1;true"),)),
        ({"le": "x"}, (("exported_le", "x"),)),
        ({"le": "x", "exported_le": "y"}, (("exported_le", "y;x"),)),
    ],
)
def test_keys_that_become_one_label_are_joined_by_original_key(
    attributes: dict[str, object], expected: tuple[tuple[str, str], ...]
) -> None:
    assert join_labels(canonical(attributes), Spelling(), "le") == expected


def test_a_scope_gives_labels_for_what_it_has() -> None:
    scope = Scope(
        "lib", "2.0", "https://example.org/1", canonical({"team": "a", "version": "x", "schema.url": "y"})
    )
    assert scope_attributes(scope) == (
        ("otel_scope_name", "lib"),
        ("otel_scope_version", "2.0"),
        ("otel_scope_schema_url", "https://example.org/1"),
        ("otel_scope_team", "a"),
    )
    assert scope_attributes(Scope("lib")) == (("otel_scope_name", "lib"),)
