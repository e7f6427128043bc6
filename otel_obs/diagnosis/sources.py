"""Imports and otel_obs calls in the application's own files; the files are parsed and never executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from otel_obs.diagnosis.launch import Launch

MAX_FILES = 400
MAX_BYTES = 2 * 1024 * 1024
_TELLING = ("instrument", "configure", "instrument_all")


class Told(NamedTuple):
    """An argument of an otel_obs call: `field` is its name, `value` its code, `where` a file and a line."""

    field: str
    value: str
    where: str


@dataclass
class SourceTree:
    """The findings in the application's own files.

    `imported` has every imported module with the place of its first import; `is_found` is whether the
    application's file was found at all; `calls` are the places where the code calls otel_obs; `unread` are
    files that could not be parsed.
    """

    is_found: bool = False
    imported: dict[str, str] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def place_of(self, module: str) -> str:
        """The place where a module or a submodule of it is imported first; "" where it is not imported."""
        for name, place in self.imported.items():
            if name == module or name.startswith(module + "."):
                return place
        return ""


def read_sources(launch: Launch, target: str, directory: Path) -> SourceTree:
    """Parse the application's file and the application's own modules that it imports, recursively."""
    sources = SourceTree()
    roots = [
        directory,
        *(directory / path for path in launch.environ.get("PYTHONPATH", "").split(":") if path),
    ]
    roots += [directory / word for word in _app_dirs(launch.arguments)]
    first = _first(launch, target, roots)
    waiting, seen = [first] if first else [], set[Path]()
    sources.is_found = bool(waiting)
    while waiting and len(seen) < MAX_FILES:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for module in _read(path, directory, sources):
            if module.partition(".")[0] != "otel_obs":  # where it is installed from its sources
                waiting += _files(module, [path.parent, *roots])
    return sources


def _app_dirs(words: tuple[str, ...]) -> list[str]:
    found = [
        words[at + 1]
        for at, word in enumerate(words[:-1])
        if word in ("--app-dir", "--chdir", "--pythonpath")
    ]
    return found + [word.partition("=")[2] for word in words if word.startswith(("--app-dir=", "--chdir="))]


def _first(launch: Launch, target: str, roots: list[Path]) -> Path | None:
    if launch.script:
        path = roots[0] / launch.script
        return path.resolve() if path.is_file() else None
    name = target.partition(":")[0]
    if name.endswith(".py"):
        path = roots[0] / name
        return path.resolve() if path.is_file() else None
    if not name and not launch.script:
        return next(iter(_files(launch.program, roots)), None)
    found = _files(name, roots)
    return found[-1] if found else None


def _files(module: str, roots: list[Path]) -> list[Path]:
    """The files of a module and of its parent packages, except those in site-packages."""
    parts = module.split(".")
    for root in roots:
        places = [root.joinpath(*parts[:count]) for count in range(1, len(parts) + 1)]
        pairs = ((place.with_name(place.name + ".py"), place / "__init__.py") for place in places)
        found = [
            path.resolve()
            for pair in pairs
            for path in pair
            if path.is_file() and "site-packages" not in path.parts
        ]
        if found:
            return found
    return []


def _read(path: Path, directory: Path, sources: SourceTree) -> Iterator[str]:
    """Note the imports and calls of a file; yield the modules that it imports."""
    shown = (
        str(path.relative_to(directory.resolve())) if path.is_relative_to(directory.resolve()) else str(path)
    )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        sources.unread.append(shown)
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in _imports(node):
                sources.imported.setdefault(name.lstrip("."), f"{shown}:{node.lineno}")
                yield name.lstrip(".")
        elif isinstance(node, ast.Call) and _is_telling(node.func):
            where = f"{shown}:{node.lineno}"
            sources.calls.append(where)
            sources.told += [Told(k.arg, ast.unparse(k.value), where) for k in node.keywords if k.arg]


def _imports(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = "." * node.level + (node.module or "")
    if node.module:
        yield base
    yield from (f"{base}{'' if base.endswith('.') or not base else '.'}{alias.name}" for alias in node.names)


def _is_telling(function: ast.expr) -> bool:
    """Whether a call is `otel_obs.instrument(…)` or `instrument(…)`, and not a method of another object."""
    if isinstance(function, ast.Attribute):
        owner = function.value
        return function.attr in _TELLING and isinstance(owner, ast.Name) and owner.id == "otel_obs"
    return isinstance(function, ast.Name) and function.id in _TELLING
