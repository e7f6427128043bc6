"""The imports of a module: remove those that are unused after the changes, add those of the new code."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from otel_obs.migration import editing
from otel_obs.migration.editing import Edit
from otel_obs.migration.module import PythonModule

_Import = ast.Import | ast.ImportFrom


def imported_by_others(modules: Mapping[Path, PythonModule]) -> frozenset[str]:
    """Names that a module of the project uses from another one, by import or as `module.name`."""
    own = {name for path in modules for name in (path.stem, path.parent.name)}
    found: set[str] = set()
    for module in modules.values():
        for node in module.nodes:
            if isinstance(node, ast.ImportFrom) and _is_own(node, own):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                means = module.imports.get(node.value.id, "")
                if means.rpartition(".")[2] in own:
                    found.add(node.attr)
    return frozenset(found)


def _is_own(node: ast.ImportFrom, own: Collection[str]) -> bool:
    return node.level > 0 or (node.module or "").rpartition(".")[2] in own


def unused_imports(
    module: PythonModule, gone: Collection[ast.AST], kept: str, foreign: Collection[str]
) -> list[Edit]:
    """Remove imports that only the removed nodes *gone* used; *kept* is the new code."""
    words = set(re.findall(r"\w+", kept))
    unused = {
        name
        for name in module.imports
        if (loads := module.loads[name])
        and name not in words
        and name not in foreign
        and all(load in gone for load in loads)
    }
    edits = []
    for node in module.nodes if unused else ():
        if isinstance(node, _Import) and node not in gone and module.has_own_lines(node):
            left = [each for each in node.names if (each.asname or each.name.partition(".")[0]) not in unused]
            if len(left) < len(node.names):
                edits.append(_with_names(module, node, left))
    return edits


def _with_names(module: PythonModule, node: _Import, names: list[ast.alias]) -> Edit:
    if not names:
        parent = module.parents[node]
        fields = (getattr(parent, name, None) for name in ("body", "orelse", "finalbody"))
        is_only = parent is not module.tree and [node] in fields
        return editing.exchange(node, "pass") if is_only else editing.deletion(module, node)
    shorter: _Import
    if isinstance(node, ast.ImportFrom):
        shorter = ast.ImportFrom(module=node.module, names=names, level=node.level)
    else:
        shorter = ast.Import(names=names)
    return editing.exchange(node, ast.unparse(shorter))


def added_imports(module: PythonModule, lines: Iterable[str]) -> list[Edit]:
    """Add imports that are missing, after the docstring and imports from `__future__`."""
    new = [line for line in lines if not _is_there(module, line)]
    if not new:
        return []
    body = module.tree.body
    at = 0
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        at = body[0].end_lineno or 0
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            at = node.end_lineno or at
    first = next((node.lineno - 1 for node in body if _is_third_party(node) and node.lineno > at), None)
    text = b"".join(line.encode() + module.newline for line in sorted(new, key=_order))
    if first is None:
        first = at
        while first < len(module.lines) and module.lines[first].startswith(b"#"):
            first += 1
    return [editing.insertion(first, text)]


def _order(line: str) -> tuple[bool, str]:
    return line.startswith("from"), line


def _is_third_party(node: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom):
        return not node.level and (node.module or "").partition(".")[0] not in sys.stdlib_module_names
    is_import = isinstance(node, ast.Import)
    return is_import and node.names[0].name.partition(".")[0] not in sys.stdlib_module_names  # type: ignore[attr-defined]


def _is_there(module: PythonModule, line: str) -> bool:
    name = line.rpartition(" ")[2]
    means = line.removeprefix("import ") if line.startswith("import ") else line.split()[1] + "." + name
    return module.imports.get(name) == means and not module.stores.get(name)
