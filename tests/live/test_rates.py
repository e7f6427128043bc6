"""Rates, errors and latency by endpoint, from pages of ours and of others."""

from __future__ import annotations

import math

import pytest

from otel_obs.live.rates import Rates, quantile, sparkline
from otel_obs.reading.text import read_page

Names = tuple[str, str, str]
OURS = ("http", "endpoint", "status_code")


def page(requests: int, errors: int = 0, slow: int = 0, names: Names = OURS) -> bytes:
    prefix, where, status = names
    done = requests + errors
    return (
        f"# TYPE {prefix}_requests_total counter\n"
        f'{prefix}_requests_total{{method="GET",{where}="/a",{status}="200"}} {requests}\n'
        f'{prefix}_requests_total{{method="GET",{where}="/a",{status}="500"}} {errors}\n'
        f"# TYPE {prefix}_request_duration_seconds histogram\n"
        f'{prefix}_request_duration_seconds_bucket{{{where}="/a",le="0.1"}} {done - slow}\n'
        f'{prefix}_request_duration_seconds_bucket{{{where}="/a",le="1"}} {done}\n'
        f'{prefix}_request_duration_seconds_bucket{{{where}="/a",le="+Inf"}} {done}\n'
    ).encode()


@pytest.mark.parametrize("names", [("http", "endpoint", "status_code"), ("shop_http", "handler", "status")])
def test_rates_over_three_windows(names: tuple[str, str, str]) -> None:
    rates = Rates()
    for second in range(61):
        counted = 10 * min(second, 50)
        rates.add(read_page(page(counted, names=names)), float(second))

    (row,) = rates.rows()

    assert (row.endpoint, row.errors) == ("/a", 0.0)
    assert list(row.rates) == pytest.approx([0.0, 20 * 10 / 30, 500 / 60])
    assert row.points[-11:] == (10.0, *[0.0] * 10)


def test_errors_and_latency() -> None:
    rates = Rates()
    rates.add(read_page(page(100)), 0)
    rates.add(read_page(page(175, errors=25, slow=10)), 10)

    (row,) = rates.rows()

    assert row.errors == 0.25
    assert row.p95_s == pytest.approx(0.1 + 0.9 * 5 / 10)


def test_a_counter_that_began_anew_is_no_negative_rate() -> None:
    rates = Rates()
    for second, value in enumerate((100, 110, 5)):
        rates.add(read_page(page(value)), float(second))

    assert rates.rows()[0].rates[0] == (10 + 5) / 2


def test_an_endpoint_that_is_gone_is_shown_for_five_minutes() -> None:
    rates = Rates()
    for minute in range(10):
        rates.add(read_page(page(minute).replace(b"/a", b"/%d" % minute)), 60.0 * minute)

    assert sorted(row.endpoint for row in rates.rows()) == ["/5", "/6", "/7", "/8", "/9"]


def test_only_five_minutes_are_kept() -> None:
    rates = Rates()
    for minute in range(20):
        rates.add(read_page(page(600 * minute if minute < 5 else 2400)), 60.0 * minute)

    assert rates.rows()[0].rates == (0.0, 0.0, 0.0)
    assert math.isnan(rates.rows()[0].errors)


def test_a_page_without_requests_has_no_rows() -> None:
    rates = Rates()
    rates.add(
        read_page(b'# TYPE llm_requests_total counter\nllm_requests_total{endpoint="x",status="ok"} 1\n'), 0
    )

    assert rates.rows() == []


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        ({}, math.nan),
        ({1.0: 5.0}, math.nan),
        ({1.0: 0.0, math.inf: 0.0}, math.nan),
        ({1.0: 0.0, math.inf: 4.0}, 1.0),
        ({1.0: 10.0, math.inf: 10.0}, 0.5),
    ],
)
def test_quantiles(buckets: dict[float, float], expected: float) -> None:
    assert quantile(0.5, buckets) == pytest.approx(expected, nan_ok=True)


def test_sparklines() -> None:
    assert sparkline((0, 1, 4, 8)) == " ▁▄█"
    assert sparkline(()) == ""
    assert sparkline((0.0, 0.0)) == "  "
