"""The tables that README.md and docs/about/benchmarks.md show, from what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.comparison import (
    CLIENT,
    CLIENT_OVER_WORKERS,
    FLASK_EXPORTER,
    INSTRUMENTATOR,
    NOTHING,
    OURS,
    STARLETTE_EXPORTER,
    STOCK,
)

RESULTS = Path(__file__).resolve().parents[1] / "results.json"
OTHER_LANGUAGES: Mapping[str, Mapping[str, str]] = json.loads(
    Path(__file__).with_name("other_languages.json").read_text()
)
"""The words of README's table by language: the key is the English text, `note` the line below the table."""

PEERS = (OURS, CLIENT, FLASK_EXPORTER, INSTRUMENTATOR, STARLETTE_EXPORTER, STOCK)

# What README's table shows: the words, the measurement, and who stands in for whom in a column.
ROWS: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    (
        "200 requests to 4 gunicorn workers, nothing set up: one scrape shows",
        "Flask under gunicorn, 4 workers, seen of 200 requests",
        {},
    ),
    (
        "200 requests to 4 uvicorn workers, nothing set up: one scrape shows",
        "FastAPI under uvicorn, 4 workers, seen of 200 requests",
        {},
    ),
    ("added to a Flask request", "Flask, last of 5 routes, added", {}),
    ("added to a FastAPI request", "FastAPI, last of 5 routes, added", {}),
    ("added to the last of 1,000 FastAPI routes", "FastAPI, last of 1,000 routes, added", {}),
    ("a counter with 3 labels", "counter, 3 labels", {}),
    ("a histogram with 3 labels", "histogram, 3 labels, 8 bounds", {}),
    ("a scrape of 100,000 lines", "scrape of 100,000 lines", {}),
    (
        "a scrape over 4 workers of 1,000 label sets",
        "scrape over 4 workers of 1,000 label sets",
        {CLIENT: CLIENT_OVER_WORKERS},
    ),
    ("memory of a label set, counter and histogram", "memory of a label set, counter and histogram", {}),
)
NO_WORDS: Mapping[str, str] = MappingProxyType({})
NOTE = (
    "Medians of one run of `make bench`, {measured}, on {processors} processors ({processor}), {python}; a dash is what "
    "that library does not do."
)
SETTING_UP = "to set up for several workers"
SET_UP = {
    OURS: "nothing",
    CLIENT: "a directory, hooks",
    FLASK_EXPORTER: "a directory, hooks",
    INSTRUMENTATOR: "a directory, hooks",
    STARLETTE_EXPORTER: "a directory, hooks",
    STOCK: "not to be had",
}

# The figures that were published elsewhere, without a machine or a method: each with what we measure.
PUBLISHED = (
    ("counter, 10 ns", "counter, looked up before", "ns"),
    ("gauge, 15 ns", "gauge, looked up before", "ns"),
    ("histogram, 50 ns", "histogram, looked up before", "ns"),
    ("summary, 80 ns", "summary, looked up before", "ns"),
    ("counter, 100 bytes", "memory of a label set, counter", "bytes"),
    ("histogram, 800 bytes", "memory of a label set, histogram of 8 bounds", "bytes"),
    ("2 MB in all", "memory of a process that only set up, above Python's", "MB"),
)

Figures = Mapping[tuple[str, str], Sequence[Any]]


def results() -> dict[str, Any]:
    """What the last whole run wrote."""
    found: dict[str, Any] = json.loads(RESULTS.read_text())
    return found


def figures(found: Mapping[str, Any]) -> Figures:
    """Each figure, by what and who."""
    return {(row[0], row[1]): row for group in found["groups"].values() for row in group}


def scaled(row: Sequence[Any]) -> tuple[float, str]:
    """By what a row's figures are divided so that one reads its median, and the unit that they then have."""
    divisor, unit = 1.0, row[2]
    for larger, factor, name in (
        ("ns", 1000, "µs"),
        ("µs", 1000, "ms"),
        ("ms", 1000, "s"),
        ("bytes", 1000, "KB"),
    ):
        if unit == larger and abs(row[3]) / divisor >= factor:
            divisor, unit = divisor * factor, name
    return divisor, unit


def digits(value: float) -> str:
    """A number as one reads it."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def amount(row: Sequence[Any] | None) -> str:
    """A figure as one reads it."""
    if row is None:
        return "-"
    _, median, low, high = row[2:6]
    if low <= 0 < high and median < high:  # what is added, which may be less than what runs differ by
        return f"< {amount([*row[:3], high, high, high])}"
    divisor, unit = scaled(row)
    shown = digits(median / divisor)
    return shown if unit == "requests" else f"{shown} {unit}"


def spread(row: Sequence[Any]) -> str:
    """The range that half of the runs lie in, in the unit of the median."""
    divisor, unit = scaled(row)
    return f"{digits(row[4] / divisor)} to {digits(row[5] / divisor)} {unit}"


def readme_table(words: Mapping[str, str] = NO_WORDS) -> str:
    """What README shows; *words* are those of another language."""
    found = results()
    by = figures(found)
    lines = [f"| | {' | '.join(PEERS)} |", "|---" * (len(PEERS) + 1) + "|"]
    set_up = [words.get(SET_UP[who], SET_UP[who]) for who in PEERS]
    lines.append(f"| {words.get(SETTING_UP, SETTING_UP)} | {' | '.join(set_up)} |")
    for row, what, instead in ROWS:
        cells = [amount(by.get((what, instead.get(who, who)))) for who in PEERS]
        lines.append(f"| {words.get(row, row)} | {' | '.join(cells)} |")
    note = words.get("note", NOTE).format(measured=found["measured"], **found["machine"])
    return "\n".join(lines) + f"\n\n{note}\n"


def page() -> str:
    """docs/about/benchmarks.md."""
    found = results()
    by = figures(found)
    parts = [HEAD, "".join(_machine(found)), "\n## The published figures\n\n", PUBLISHED_HEAD]
    empty = amount(by.get(("empty Python call", NOTHING)))
    for words, what, unit in PUBLISHED:
        beside = (
            f"{empty} is an empty Python call"
            if unit == "ns"
            else amount(by.get((what, CLIENT))) + " is prometheus_client's"
        )
        ours = by.get((what, OURS))
        parts.append(f"| {words} | {amount(ours)} | {beside} | {_promise(ours)} |\n")
    parts.append(_share(by))
    for group, title in TITLES.items():
        rows = found["groups"].get(group)
        if rows:
            parts.append(f"\n## {title}\n\n")
            if group in PICTURED and any(row[2] != "requests" for row in rows):
                parts.append(f"![{title}](../images/benchmarks/{group}.svg)\n\n")
            parts.append("| what | who | median | half of the runs | runs |\n|---|---|---|---|---|\n")
            parts += [f"| {row[0]} | {row[1]} | {amount(row)} | {spread(row)} | {row[6]} |\n" for row in rows]
    return "".join(parts)


def _promise(row: Sequence[Any] | None) -> str:
    """Twice what was measured, to one digit: what holds on a slower machine, and under another load."""
    if row is None:
        return "-"
    return f"below {amount([*row[:3], float(f'{2 * row[3]:.1g}'), *row[4:]])}"


def _share(by: Figures) -> str:
    added, plain = (
        by.get(("FastAPI, last of 5 routes, added", OURS)),
        by.get(("FastAPI, last of 5 routes, the bare request", NOTHING)),
    )
    if added is None or plain is None:
        return ""
    return (
        f"| below 1 % of a request | {amount(added)} added | {amount(plain)} is the bare request, in-process, which "
        f"does nothing | below 1 % of a request that takes {added[3] * 100 / 1000:.2g} ms or more |\n"
    )


def _machine(found: Mapping[str, Any]) -> Iterator[str]:
    machine = found["machine"]
    yield f"Measured on {found['measured']}{', in a hurry' if found['quick'] else ''}: {machine['processors']} processors, "
    yield f"{machine['processor']}, {machine['memory_gb']} GB; {machine['system']}; {machine['python']}; a load of "
    yield f"{machine['load_before']} before it began.\n\n"
    yield ", ".join(f"{name} {version}" for name, version in machine["packages"].items()) + ".\n"


TITLES = {
    "recording": "Recording",
    "summary": "In prometheus_client's manner",
    "growth": "Growth with series",
    "requests": "A request, in-process",
    "throughput": "A server under load",
    "scrape": "A scrape",
    "memory": "Memory",
    "starting": "Start-up",
}
PICTURED = ("recording", "requests", "scrape", "throughput", "memory")
HEAD = """\
# Benchmarks

Every figure is made by `make bench`, in one run in which all peers do the same work in turn; anybody can make them
anew. Medians are shown with the range that half of the runs lie in. Compare columns, not days: another machine gives
other figures, and much the same ratios. The raw figures are in `benchmarks/results.json`.

"""
PUBLISHED_HEAD = """\
A team has published what metrics cost it, without a machine or a method: a counter 10 ns and 100 bytes, a gauge 15 ns,
a histogram 50 ns and 800 bytes, a summary 80 ns, below 1 % and 2 MB in all. A call of an empty Python function alone
takes longer than the first of these, so no Python library can have them. What is measured, and what can be promised:

| published | otel-obs | beside it | honest to promise |
|---|---|---|---|
"""
