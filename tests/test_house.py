"""One word for one thing, and one theme for a module."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.long import LONG, is_long

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "otel_obs"

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


def test_every_test_is_in_make_test_or_in_make_test_long() -> None:
    chosen = re.findall(r'pytest -n .* -m "([^"]*)"', (ROOT / "Makefile").read_text())
    assert sorted(chosen) == ["long", "not long"]


def test_what_takes_long_is_there_and_is_marked(request: pytest.FixtureRequest) -> None:
    tests = ROOT / "tests"
    assert [name for name in LONG if not (tests / name).exists()] == []
    assert is_long(tests / "release" / "test_release.py")
    assert not is_long(tests / "cells" / "test_store.py")
    for item in request.session.items:
        assert (item.get_closest_marker("long") is not None) == is_long(item.path)
