"""Pictures of what was measured, as SVG: bars by who."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.patches import Patch

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
from benchmarks.comparison.pages import PICTURED, TITLES

COLOURS = {
    OURS: "#0b7285",
    CLIENT: "#e8590c",
    CLIENT_OVER_WORKERS: "#fd7e14",
    FLASK_EXPORTER: "#fab005",
    INSTRUMENTATOR: "#9c36b5",
    STARLETTE_EXPORTER: "#d6336c",
    STOCK: "#495057",
    NOTHING: "#ced4da",
}

LINEAR = ("throughput",)
"""Groups whose figures differ little: a logarithmic scale would not show by how much."""


def draw(found: Mapping[str, Any], directory: Path) -> None:
    """One file for each group that is shown as a picture."""
    directory.mkdir(parents=True, exist_ok=True)
    matplotlib.rcParams.update({"svg.hashsalt": "otel-obs", "svg.fonttype": "none", "font.size": 9})
    for group in PICTURED:
        rows = [r for r in found["groups"].get(group, ()) if "seen of" not in r[0] and r[3] > 0]
        if rows:
            _picture(TITLES[group], rows, group in LINEAR, directory / f"{group}.svg")


def _picture(title: str, rows: list[list[Any]], is_linear: bool, to: Path) -> None:
    unit = rows[0][2]
    rows = [row for row in rows if row[2] == unit]
    whats = list(dict.fromkeys(row[0] for row in rows))
    whos = list(dict.fromkeys(row[1] for row in rows))
    at, places, values, errors, colours = 0.0, [], [], [], []
    ticks: list[tuple[float, str]] = []
    for what in whats:
        group = [row for row in rows if row[0] == what]
        ticks.append((at + (len(group) - 1) / 2, what))
        for row in sorted(group, key=lambda row: whos.index(row[1])):
            places.append(at)
            values.append(row[3])
            errors.append((max(row[3] - row[4], 0.0), max(row[5] - row[3], 0.0)))
            colours.append(COLOURS[row[1]])
            at += 1
        at += 0.8
    figure, axes = pyplot.subplots(figsize=(8, 0.17 * at + 1.4))
    axes.barh(places, values, color=colours, xerr=list(zip(*errors, strict=True)), error_kw={"lw": 0.8})
    axes.set_yticks([place for place, _ in ticks], [what for _, what in ticks])
    axes.invert_yaxis()
    axes.set_xscale("linear" if is_linear else "log")
    axes.set_xlabel(unit if is_linear else f"{unit}, on a logarithmic scale")
    axes.set_title(title, loc="left")
    axes.legend(
        [Patch(color=COLOURS[who]) for who in whos],
        whos,
        fontsize=8,
        frameon=False,
        loc="upper center",
        bbox_to_anchor=(0.3, -0.9 / (0.17 * at + 1.4)),
        ncols=2,
    )
    figure.savefig(to, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
