"""One word for one thing: no class name stands in two modules of the package."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "otel_obs"

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
