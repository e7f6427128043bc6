"""What is found in a file, and what is to be done about it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import NamedTuple


class Place(NamedTuple):
    """One place: the line, counted from 1, what stands there, what to do, and whether the diff does it."""

    line: int
    what: str
    remedy: str
    is_changed: bool


@dataclass(frozen=True)
class FoundCode:
    """One place with what changes it.

    Attributes:
        node: Where it is.
        what: What stands there.
        remedy: What is done, and what is left to do.
        removed: Statements that go.
        replaced: Nodes, each with the code that takes its place.
        imported: Lines that import what the new code needs.
        needs_no_directory: It may go only where nothing that stays reads the directory's variable.
    """

    node: ast.AST
    what: str
    remedy: str
    removed: tuple[ast.stmt, ...] = ()
    replaced: tuple[tuple[ast.AST, str], ...] = ()
    imported: tuple[str, ...] = ()
    needs_no_directory: bool = False

    @property
    def is_changed(self) -> bool:
        """Whether the diff changes it."""
        return bool(self.removed or self.replaced)
