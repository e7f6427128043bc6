"""The places that are found in a file, and the changes to make there."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import NamedTuple


class Place(NamedTuple):
    """One place: the line, counted from 1, what was found, what to do, and whether the diff does it."""

    line: int
    what: str
    remedy: str
    is_changed: bool


@dataclass(frozen=True)
class FoundCode:
    """One place with its changes.

    Attributes:
        node: The node that was found.
        what: A name for it.
        remedy: What is done, and what is left to do.
        removed: Statements that are deleted.
        replaced: Nodes, each with the code that replaces it.
        imported: Import lines that the new code needs.
        needs_no_directory: It is changed only where no remaining code reads the directory's variable.
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
