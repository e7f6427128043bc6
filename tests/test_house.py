"""One word for one thing, and one theme for a module."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "otel_obs"

MOST_LINES = 350

MIRRORED = {
    # The names of OpenTelemetry's API and of prometheus_client, which `sdk` and `prometheus` stand for.
    "Counter",
    "Gauge",
    "Histogram",
    "Timer",
    # What a group of the catalog offers its users: `with agent.run(…)`, `with workflow.run(…)`.
    "run",
}


def test_no_class_name_stands_in_two_modules() -> None:
    modules: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                modules[node.name].append(path.relative_to(PACKAGE).as_posix())
    twice = {name: where for name, where in modules.items() if len(set(where)) > 1 and name not in MIRRORED}
    assert twice == {}


def test_no_module_is_long() -> None:
    """What has grown beyond this has two themes, and wants to be two modules."""
    lengths = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text().splitlines())
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}
