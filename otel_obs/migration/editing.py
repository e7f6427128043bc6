"""Replace code in a file and leave every other byte as it is; and make the unified diff."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from itertools import dropwhile
from typing import NamedTuple

from otel_obs.migration.module import PythonModule

CONTEXT = 3
BLANK_LINES = 2
"""The most that PEP 8 knows between two pieces of code."""


class Edit(NamedTuple):
    """A replacement of the bytes from `start` up to `end`; each is a line, counted from 0, and a column."""

    start: tuple[int, int]
    end: tuple[int, int]
    text: bytes


class Hunk(NamedTuple):
    """The lines from `first` up to `last`, counted from 0, and the lines that replace them."""

    first: int
    last: int
    new: tuple[bytes, ...]


def exchange(node: ast.AST, text: str) -> Edit:
    """Replace a node by code."""
    where: ast.expr = node  # type: ignore[assignment]  # every node that is replaced has a position
    end = ((where.end_lineno or where.lineno) - 1, where.end_col_offset or 0)
    return Edit((where.lineno - 1, where.col_offset), end, text.encode())


def deletion(module: PythonModule, statement: ast.stmt) -> Edit:
    """Delete the lines of a statement, and blank lines that are superfluous without it."""
    first, last = module.first_line(statement) - 1, statement.end_lineno or statement.lineno
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        while first and _is_blank(module, first - 1):
            first -= 1
    elif _is_blank(module, first - 1) and _is_blank(module, last) and last < len(module.lines):
        last += 1
    return Edit((first, 0), (last, 0), b"")


def _is_blank(module: PythonModule, line: int) -> bool:
    """Whether a line is blank, or does not exist."""
    return not 0 <= line < len(module.lines) or not module.lines[line].strip()


def line_removal(first: int, last: int) -> Edit:
    """Delete whole lines, counted from 1, both included."""
    return Edit((first - 1, 0), (last, 0), b"")


def insertion(line: int, text: bytes) -> Edit:
    """Insert lines before the one with this number, counted from 0."""
    return Edit((line, 0), (line, 0), text)


def hunks(lines: Sequence[bytes], edits: Iterable[Edit]) -> list[Hunk]:
    """Turn edits into replacements of whole lines; edits on the same line become one."""
    found: list[tuple[int, int, bytes]] = []
    for edit in sorted(set(edits)):
        first, last = edit.start[0], edit.end[0] + (edit.end[1] > 0)
        last = max(last, first + (edit.start[1] > 0))
        if found and first < found[-1][1]:
            known_first, known_last, text = found[-1]
            # The edit before ends with the rest of its last line: cut that where this edit starts.
            tail = b"".join(lines[known_last - 1 : known_last])
            kept = text[: len(text) - (len(tail) - edit.start[1])]
            found[-1] = (known_first, max(last, known_last), kept + edit.text + _rest(lines, edit))
            continue
        head = lines[first][: edit.start[1]] if edit.start[1] else b""
        found.append((first, last, head + edit.text + _rest(lines, edit)))
    whole = (Hunk(first, last, tuple(text.splitlines(keepends=True))) for first, last, text in found)
    return _without_blank_head(lines, _joined(whole))


def _without_blank_head(lines: Sequence[bytes], changes: list[Hunk]) -> list[Hunk]:
    """Where the first lines of a file are deleted, delete the blank lines below them too."""
    if not changes or changes[0].first or any(line.strip() for line in changes[0].new):
        return changes
    last, rest = changes[0].last, changes[1:]
    new: tuple[bytes, ...] = ()
    while not new:
        if rest and rest[0].first == last:
            last, new = rest[0].last, tuple(dropwhile(lambda line: not line.strip(), rest.pop(0).new))
        elif last < len(lines) and not lines[last].strip():
            last += 1
        else:
            break
    return [Hunk(0, last, new), *rest]


def without_gaps(lines: Sequence[bytes], changes: Sequence[Hunk]) -> list[Hunk]:
    """Where code goes, not the blank lines of both sides stay, but two, or as many as stood on one side."""
    found: list[Hunk] = []
    ends = [*(each.first for each in changes[1:]), len(lines)]
    for hunk, following in zip(changes, ends, strict=False):
        floor = found[-1].last if found else 0
        before = _blank_run(lines[floor : hunk.first][::-1])
        after = _blank_run(lines[hunk.last : following])
        spare = 0 if hunk.new else min(before, after, max(before + after - BLANK_LINES, 0))
        found.append(hunk._replace(last=hunk.last + spare))
    return found


def _blank_run(lines: Sequence[bytes]) -> int:
    """How many lines are blank before the first that is not."""
    return next((at for at, line in enumerate(lines) if line.strip()), len(lines))


def _joined(changes: Iterable[Hunk]) -> list[Hunk]:
    """Join hunks without unchanged lines between them."""
    whole: list[list[Hunk]] = []
    for hunk in changes:
        if whole and whole[-1][-1].last == hunk.first:
            whole[-1].append(hunk)
        else:
            whole.append([hunk])
    return [
        Hunk(group[0].first, group[-1].last, tuple(line for hunk in group for line in hunk.new))
        for group in whole
    ]


def _rest(lines: Sequence[bytes], edit: Edit) -> bytes:
    return lines[edit.end[0]][edit.end[1] :] if edit.end[1] else b""


def with_hunks(lines: Sequence[bytes], changes: Iterable[Hunk]) -> bytes:
    """The text of the file with its changes."""
    parts, at = [], 0
    for hunk in changes:
        parts += [*lines[at : hunk.first], *hunk.new]
        at = hunk.last
    return b"".join([*parts, *lines[at:]])


def unified_diff(path: str, lines: Sequence[bytes], changes: Sequence[Hunk]) -> str:
    """The changes as a unified diff, which `patch` reads."""
    if not changes:
        return ""
    out, moved = [f"--- a/{path}\n", f"+++ b/{path}\n"], 0
    for group in _groups(changes):
        first = max(group[0].first - CONTEXT, 0)
        last = min(group[-1].last + CONTEXT, len(lines))
        body: list[str] = []
        at = first
        for hunk in group:
            body += _marked(" ", lines[at : hunk.first])
            body += _marked("-", lines[hunk.first : hunk.last])
            body += _marked("+", hunk.new)
            at = hunk.last
        body += _marked(" ", lines[at:last])
        grown = sum(len(hunk.new) - (hunk.last - hunk.first) for hunk in group)
        size = last - first
        out.append(f"@@ -{_range(first, size)} +{_range(first + moved, size + grown)} @@\n")
        out += body
        moved += grown
    return "".join(out)


def _groups(changes: Sequence[Hunk]) -> Iterator[list[Hunk]]:
    group = [changes[0]]
    for hunk in changes[1:]:
        if hunk.first - group[-1].last > 2 * CONTEXT:
            yield group
            group = []
        group.append(hunk)
    yield group


def _range(first: int, size: int) -> str:
    return f"{first + 1 if size else first},{size}"


def _marked(mark: str, lines: Iterable[bytes]) -> Iterator[str]:
    for line in lines:
        text = line.decode()
        yield mark + text + ("" if text.endswith("\n") else "\n\\ No newline at end of file\n")
