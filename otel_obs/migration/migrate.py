"""The whole migration: read files, find places by rules, make edits and diffs. No code is executed."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from otel_obs.errors import UnreadableError
from otel_obs.migration import editing, files
from otel_obs.migration.client import DIRECTORY, HOOKS, find_client
from otel_obs.migration.editing import Edit
from otel_obs.migration.import_edits import added_imports, imported_by_others, unused_imports
from otel_obs.migration.middleware import find_middleware
from otel_obs.migration.module import PEERS, NotPythonError, PythonModule
from otel_obs.migration.places import FoundCode, Place
from otel_obs.migration.request_counters import find_exporters


@dataclass(frozen=True)
class FileMigration:
    """The result for one file: its places, the diff, and the whole new text."""

    path: Path
    places: tuple[Place, ...]
    diff: str
    text: bytes


@dataclass(frozen=True)
class Migration:
    """The results below a path; `unread` has each file that was not read, with the reason."""

    found: tuple[FileMigration, ...]
    unread: tuple[tuple[str, str], ...]


def migrate(path: Path) -> Migration:
    """Find what to change; nothing is written.

    Raises:
        UnreadableError: There is nothing at *path*.
    """
    modules: dict[Path, PythonModule] = {}
    unread: list[tuple[str, str]] = []
    for each in files.python_files(path):
        problem = files.why_not_read(each)
        try:
            if not problem:
                modules[each] = PythonModule(each.read_bytes())
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        except NotPythonError as error:
            problem = str(error)
        if problem and each == path:
            raise UnreadableError(str(path), problem)
        if problem:
            unread.append((str(each), problem))
    foreign = imported_by_others(modules)
    findings = {each: _find(module, foreign) for each, module in modules.items()}
    is_read = any(
        finding.what == DIRECTORY and not finding.is_changed
        for found in findings.values()
        for finding in found
    )
    migrated = [
        _migrated(each, modules[each], _kept(found, is_read), foreign) for each, found in findings.items()
    ]
    return Migration(tuple(each for each in migrated if each.places), tuple(unread))


def _find(module: PythonModule, foreign: Collection[str]) -> list[FoundCode]:
    found = [
        *find_client(module),
        *find_exporters(module, foreign),
        *find_middleware(module, foreign),
        *_stars(module),
    ]
    return sorted(found, key=lambda each: _line(module, each.node))


def _stars(module: PythonModule) -> Iterable[FoundCode]:
    for node in module.nodes:
        package = (node.module or "").partition(".")[0] if isinstance(node, ast.ImportFrom) else ""
        if package in PEERS and any(alias.name == "*" for alias in node.names):  # type: ignore[attr-defined]
            remedy = "not followed: import by name, and run the command again"
            yield FoundCode(node, f"import * from {package}", remedy)


def _kept(found: list[FoundCode], is_directory_read: bool) -> list[FoundCode]:
    """Keep the code that sets the directory's variable as long as other code reads it."""
    if not is_directory_read:
        return found
    reason = "not changed, as other code reads it: take that out first, and run the command again"
    return [FoundCode(each.node, each.what, reason) if each.needs_no_directory else each for each in found]


def _line(module: PythonModule, node: ast.AST) -> int:
    return module.first_line(node) if isinstance(node, ast.stmt) else getattr(node, "lineno", 1)


def _migrated(
    path: Path, module: PythonModule, found: Sequence[FoundCode], foreign: Collection[str]
) -> FileMigration:
    places = tuple(Place(_line(module, each.node), each.what, each.remedy, each.is_changed) for each in found)
    edits = _edits(module, found, foreign)
    changes = editing.without_gaps(module.lines, editing.hunks(module.lines, edits))
    text = module.bom + editing.with_hunks(module.lines, changes)
    try:
        PythonModule(text)
    except NotPythonError:
        # A safety net, which no sample reaches: never write a file that is not valid Python any more.
        reason = "not changed, as the code around it is out of the common; change it by hand: "
        left = tuple(Place(each.line, each.what, reason + each.remedy, False) for each in places)
        return FileMigration(path, left, "", module.bom + b"".join(module.lines))
    return FileMigration(
        path, places, editing.unified_diff(str(path).lstrip("/"), module.lines, changes), text
    )


def _edits(module: PythonModule, found: Sequence[FoundCode], foreign: Collection[str]) -> list[Edit]:
    removed = {statement for each in found for statement in each.removed}
    replaced: dict[ast.AST, str] = {}
    instrumented = {
        _place_of(module, call, module.text(call)) for call in module.calls if _is_ours(module, call)
    }
    for node, text in (pair for each in found for pair in each.replaced):
        place = _place_of(module, node, text)
        if isinstance(node, ast.stmt) and place in instrumented:
            removed.add(node)
        else:
            replaced[node] = text
            instrumented.add(place)
    passes: set[ast.stmt] = set()
    for owner, block in module.blocks():
        if isinstance(owner, ast.Module) or not all(each in removed for each in block):
            continue
        if isinstance(owner, ast.FunctionDef) and owner.name in HOOKS and module.function(owner) is None:
            removed = (removed - set(block)) | {owner}
        elif not any(parent in removed for parent in _above(module, owner)):
            passes.add(block[0])
    gone = {node for each in removed for node in ast.walk(each)}
    edits = [editing.deletion(module, statement) for statement in removed - passes]
    edits += [_whole(module, statement, "pass") for statement in passes]
    for node, text in replaced.items():
        if node in gone:
            continue
        gone.update(ast.walk(node))
        edits.append(_whole(module, node, text) if isinstance(node, ast.stmt) else _part(module, node, text))
    lines = {line for each in found for line in each.imported}
    kept = "\n".join([*replaced.values(), *lines])
    edits += unused_imports(module, gone, kept, foreign)
    edits += added_imports(module, sorted(lines))
    return edits


def _is_ours(module: PythonModule, call: ast.Call) -> bool:
    return module.name_of(call.func) == "otel_obs.instrument"


def _place_of(module: PythonModule, node: ast.AST, text: str) -> tuple[ast.AST | None, str]:
    """The function and the code of the application: each pair gets one `instrument` call only."""
    return module.function(node), text


def _above(module: PythonModule, node: ast.AST | None) -> Iterable[ast.AST]:
    while node is not None:
        yield node
        node = module.parents.get(node)


def _whole(module: PythonModule, statement: ast.stmt, text: str) -> Edit:
    """Replace a statement, decorators included, by code with the line ending of the file."""
    edit = editing.exchange(statement, text)
    first = module.first_line(statement) - 1
    body = edit.text.replace(b"\n", module.newline)
    return Edit((first, statement.col_offset), edit.end, body)


def _part(module: PythonModule, node: ast.AST, text: str) -> Edit:
    """Replace an expression by code; a decorator is deleted with its line."""
    if node in getattr(module.parents[node], "decorator_list", ()):
        assert isinstance(node, ast.expr)
        return editing.line_removal(node.lineno, node.end_lineno or node.lineno)
    return editing.exchange(node, text)
