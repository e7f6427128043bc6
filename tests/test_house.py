"""One word for one thing, and one theme for a module."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.long import LONG, is_long

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "otel_obs"

MOST_LINES = 350

MIRRORED = {
    # The names of OpenTelemetry's API and of prometheus_client, which `sdk` and `prometheus` stand for.
    "Collector",
    "Counter",
    "Gauge",
    "Histogram",
    "Instrument",
    "Timer",
    # What a group of the catalog offers its users: `with agent.run(…)`, `with workflow.run(…)`.
    "run",
}

# Folders whose modules have the names of something else: commands, the catalog's groups, the client's
# modules, and the formats, which `exposition` writes and `reading` reads.
NAMED_BY_OTHERS = {"catalog", "cli", "ops/alerts", "ops/panels", "prometheus", "reading"}

# Modules about the thing that a class of another folder is.
ABOUT_A_TYPE = {"exemplar", "labels", "series", "service", "standing_in"}

# Functions that several modules offer under one name, since they do the same for each of them.
OFFERED_ALIKE = {
    "answer_to",
    "comments",
    "declares",
    "encode",
    "install",
    "instrument_app",
    "main",
    "restore",
    "start",
    "stop",
    "template_of",
    "uninstall",
    "uninstrument_app",
    "watch",
}


class Name(NamedTuple):
    """A class, a type alias or a public function, and where it stands."""

    kind: str
    name: str
    module: str
    gives: str = ""

    @property
    def word(self) -> str:
        """The name without what may be overlooked: case, underscores, the plural."""
        word = self.name.replace("_", "").lower()
        return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text())


def named_as(module: Path) -> str:
    """The name under which a module or a folder is imported."""
    return module.parent.name if module.stem == "__init__" else module.stem


def is_named_by_others(module: Path) -> bool:
    return not NAMED_BY_OTHERS.isdisjoint(folder.as_posix() for folder in module.parents)


def is_alias(name: str) -> bool:
    return re.match(r"_?[A-Z]", name) is not None and not name.isupper()


def names_of(module: str, tree: ast.Module) -> Iterator[Name]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield Name("type", node.name, module)
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name) and is_alias(target.id):
                yield Name("type", target.id, module)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield Name("function", node.name, module, ast.unparse(node.returns) if node.returns else "")


def all_names() -> list[Name]:
    return [name for module, tree in modules() for name in names_of(module, tree)]


def test_no_type_stands_in_two_modules() -> None:
    """Classes and type aliases: who reads one of them need not ask which of them it is."""
    where: defaultdict[str, set[str]] = defaultdict(set)
    for name in all_names():
        if name.kind == "type" and name.name not in MIRRORED:
            where[name.name].add(name.module)
    assert {name: found for name, found in where.items() if len(found) > 1} == {}


def test_no_two_types_differ_in_case_or_plural_alone() -> None:
    """But for a class of many, which stands in the module of the one."""
    found: defaultdict[str, set[Name]] = defaultdict(set)
    for name in all_names():
        if name.kind == "type" and name.name not in MIRRORED:
            found[name.word].add(name)
    assert [sorted(alike) for alike in found.values() if len({name.module for name in alike}) > 1] == []


def test_a_function_that_is_named_like_a_type_gives_it() -> None:
    types: defaultdict[str, set[str]] = defaultdict(set)
    names = all_names()
    for name in names:
        if name.kind == "type" and name.name not in MIRRORED:
            types[name.word].add(name.name)
    unlike = [
        (name.module, name.name, name.gives)
        for name in names
        if name.kind == "function"
        and types[name.word]
        and not any(type in name.gives for type in types[name.word])
    ]
    assert unlike == []


def test_a_module_that_is_named_like_a_type_holds_it() -> None:
    """Or is about it: a word means the same in an import and in a class's name."""
    types: defaultdict[str, set[str]] = defaultdict(set)
    for name in all_names():
        if name.kind == "type" and name.name not in MIRRORED:
            types[name.name.strip("_").lower()].add(name.module)
    unlike = {
        module: sorted(holders)
        for module, _ in modules()
        if (holders := types[named_as(Path(module)).replace("_", "")])
        and not is_named_by_others(Path(module))
        and Path(module).stem not in ABOUT_A_TYPE
        and not any(Path(each).parent.is_relative_to(Path(module).parent) for each in holders)
    }
    assert unlike == {}


def test_a_name_that_is_imported_under_another_stands_for_one_thing() -> None:
    sources: defaultdict[str, set[str]] = defaultdict(set)
    for _, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for each in node.names:
                    if each.asname is not None and each.asname != each.name:
                        sources[each.asname].add(f"{node.module}.{each.name}")
    assert {name: found for name, found in sources.items() if len(found) > 1} == {}


def test_no_public_function_has_the_name_of_another() -> None:
    """But for what several modules offer alike: every framework's file, every format, every command."""
    where: defaultdict[str, set[str]] = defaultdict(set)
    for name in all_names():
        if name.kind == "function" and name.name not in OFFERED_ALIKE and "cli/" not in name.module:
            where[name.name].add(name.module)
    assert {name: found for name, found in where.items() if len(found) > 1} == {}


def test_type_checkers_do_not_see_what_gives_any_name() -> None:
    """A module with a `__getattr__` that they see has every name, also a misspelt one."""
    assert [
        module
        for module, tree in modules()
        if any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body)
    ] == []


def test_there_is_one_logger() -> None:
    loggers = {
        (ast.unparse(node.targets[0]), ast.unparse(node.value))
        for _, tree in modules()
        for node in tree.body
        if isinstance(node, ast.Assign) and "getLogger" in ast.unparse(node.value)
    }
    assert loggers == {("_logger", "logging.getLogger('otel_obs')")}


def test_no_module_has_the_name_of_another() -> None:
    where: defaultdict[str, list[str]] = defaultdict(list)
    for module, _ in modules():
        path = Path(module)
        if path.stem != "__init__" and not is_named_by_others(path):
            where[path.stem].append(module)
    assert {name: found for name, found in where.items() if len(found) > 1} == {}


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
