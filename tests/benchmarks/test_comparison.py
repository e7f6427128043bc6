"""The figures that are published are ratios that hold, with room for a busy machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.comparison import CLIENT, OURS, STOCK, figure
from benchmarks.comparison.pages import (
    PEERS,
    PUBLISHED,
    ROWS,
    amount,
    figures,
    page,
    readme_table,
    results,
    spread,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("figures") / "results.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks.comparison",
        "--quick",
        "--out",
        str(out),
        "recording",
        "memory",
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return figures(json.loads(out.read_text()))


@pytest.mark.parametrize(
    ("what", "who", "at_most"),
    [
        ("counter, 3 labels", CLIENT, 0.7),
        ("counter, 3 labels", STOCK, 0.3),
        ("counter, looked up before", CLIENT, 0.8),
        ("histogram, 3 labels, 8 bounds", CLIENT, 0.8),
        ("histogram, 3 labels, 8 bounds", STOCK, 0.35),
        ("memory of a label set, counter and histogram", CLIENT, 0.7),
        ("memory of a label set, counter and histogram", STOCK, 0.8),
    ],
)
def test_ours_costs_a_part_of_what_a_peer_does(measured: Any, what: str, who: str, at_most: float) -> None:
    assert measured[what, OURS][3] <= at_most * measured[what, who][3]


def test_every_figure_of_the_pages_was_measured() -> None:
    by = figures(results())

    missing = [what for _, what, _ in ROWS if (what, OURS) not in by]
    assert missing + [what for _, what, _ in PUBLISHED if (what, OURS) not in by] == []
    assert readme_table().count("\n| ") == len(ROWS) + 1
    assert all(who in page() for who in PEERS)


def test_a_figure_is_the_median_between_its_quartiles() -> None:
    assert figure("a", "b", "ns", [1.0, 2.0, 3.0, 4.0, 100.0])[3:] == (3.0, 1.5, 52.0, 5)
    assert figure("a", "b", "ns", [7.0])[3:] == (7.0, 7.0, 7.0, 1)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (56.19, "ns", "56.2 ns"),
        (1530.0, "ns", "1.53 µs"),
        (1530.0, "bytes", "1.53 KB"),
        (1234.0, "ms", "1.23 s"),
        (200.0, "requests", "200"),
        (8123.4, "requests/s", "8,123 requests/s"),
    ],
)
def test_an_amount_reads_well(value: float, unit: str, shown: str) -> None:
    assert amount(["what", "who", unit, value, value, value, 1]) == shown


def test_a_range_has_the_unit_of_its_median() -> None:
    assert spread(["what", "who", "ns", 14_300, 8_998, 14_950, 9]) == "9 to 14.9 µs"
    assert spread(["what", "who", "µs", 52.3, -80.61, 274.2, 9]) == "-80.6 to 274 µs"
