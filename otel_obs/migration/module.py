"""A parsed module, with what the rules ask of it: the meaning of names, their uses, and positions.

Names are resolved over the whole file, without scopes. A name that is bound twice is ambiguous, and is left
alone.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator

PEERS = frozenset(
    {
        "prometheus_client",
        "prometheus_flask_exporter",
        "prometheus_fastapi_instrumentator",
        "starlette_exporter",
    }
)
_LINES = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
BOM = b"\xef\xbb\xbf"


class NotPythonError(ValueError):
    """The text of a file is not valid Python."""


class PythonModule:
    """One module, parsed; nothing of it is executed.

    Args:
        source: The file's bytes, in UTF-8.

    Raises:
        NotPythonError: The source is not UTF-8, or not valid Python.
    """

    def __init__(self, source: bytes) -> None:
        self.bom = BOM if source.startswith(BOM) else b""
        body = source[len(self.bom) :]
        self.tree = _parse(body)
        self.lines = _LINES.findall(body)
        self.newline = b"\r\n" if b"\r\n" in source else b"\n"
        self.nodes = list(ast.walk(self.tree))
        self.parents: dict[ast.AST, ast.AST] = {}
        self.imports: dict[str, str] = {}
        self.loads: defaultdict[str, list[ast.Name]] = defaultdict(list)
        self.stores: defaultdict[str, int] = defaultdict(int)
        self.calls: list[ast.Call] = []
        self.known_set_ups: dict[ast.stmt, bool] = {}
        self._by_function: dict[tuple[ast.AST | None, str], list[ast.Name]] = {}
        for node in self.nodes:
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
            self._note(node)

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            self.calls.append(node)
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                self.loads[node.id].append(node)
            else:
                self.stores[node.id] += 1
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.stores[node.name] += 1
        elif isinstance(node, ast.arg):
            self.stores[node.arg] += 1
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                self._bind(node, alias)

    def _bind(self, node: ast.Import | ast.ImportFrom, alias: ast.alias) -> None:
        if isinstance(node, ast.ImportFrom):
            name = alias.asname or alias.name
            means = f"{'.' * node.level}{node.module or ''}.{alias.name}"
        else:
            name = alias.asname or alias.name.partition(".")[0]
            means = alias.name if alias.asname else name
        if self.imports.setdefault(name, means) != means:
            self.stores[name] += 1

    def name_of(self, node: ast.AST) -> str:
        """The full name of an expression such as `client.Counter`, by the module's imports; "" if unknown."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.imports or self.stores.get(node.id):
            return ""
        return ".".join([self.imports[node.id], *reversed(parts)])

    def peer(self, node: ast.AST) -> tuple[str, str]:
        """The package of `PEERS` that an expression is from, and the last part of its name; or "", ""."""
        name = self.name_of(node)
        package = name.partition(".")[0]
        return (package, name.rpartition(".")[2]) if package in PEERS else ("", "")

    def statement(self, node: ast.AST) -> ast.stmt:
        """The statement that a node is part of."""
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def function(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The function that a node is in."""
        found = self.parents.get(node)
        while found is not None and not isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
            found = self.parents.get(found)
        return found

    def names_in(self, function: ast.AST | None, name: str) -> list[ast.Name]:
        """The nodes where a function, or the module outside of functions, uses or binds a name."""
        if not self._by_function:
            for node in self.nodes:
                if isinstance(node, ast.Name):
                    self._by_function.setdefault((self.function(node), node.id), []).append(node)
        return self._by_function.get((function, name), [])

    def alone(self, node: ast.AST) -> ast.Expr | None:
        """The expression statement that consists of a node alone, on its own lines; else None."""
        parent = self.parents.get(node)
        return parent if isinstance(parent, ast.Expr) and self.has_own_lines(parent) else None

    def assigned(self, node: ast.AST) -> tuple[ast.Assign | ast.AnnAssign, str] | None:
        """The statement that assigns a node to one name, which is not assigned elsewhere, and that name."""
        parent = self.parents.get(node)
        if isinstance(parent, ast.Assign) and len(parent.targets) == 1:
            target: ast.expr = parent.targets[0]
        elif isinstance(parent, ast.AnnAssign):
            target = parent.target
        else:
            return None
        if not isinstance(target, ast.Name) or self.stores[target.id] != 1 or target.id in self.imports:
            return None
        return (parent, target.id) if self.has_own_lines(parent) else None

    def has_own_lines(self, statement: ast.stmt) -> bool:
        """Whether the lines of a statement hold no other code."""
        first, last = self.first_line(statement), statement.end_lineno or statement.lineno
        before = self.lines[first - 1][: self._first_column(statement)]
        after = self.lines[last - 1][statement.end_col_offset :].strip()
        return not before.strip() and (not after or after.startswith(b"#"))

    def _first_column(self, statement: ast.stmt) -> int:
        decorators = getattr(statement, "decorator_list", None)
        # The `@` is one column before the decorator's expression.
        return statement.col_offset if not decorators else decorators[0].col_offset - 1

    def first_line(self, statement: ast.stmt) -> int:
        """The line on which a statement begins, decorators included."""
        decorators = getattr(statement, "decorator_list", None)
        return decorators[0].lineno if decorators else statement.lineno

    def text(self, node: ast.expr) -> str:
        """The code of an expression, on one line."""
        return ast.unparse(node)

    def blocks(self) -> Iterator[tuple[ast.AST, list[ast.stmt]]]:
        """Every list of statements, with the node that it is a block of."""
        for node in self.nodes:
            for name in ("body", "orelse", "finalbody"):
                block = getattr(node, name, None)
                if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                    yield node, block


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    """The keyword arguments of a call; `**options` has the key `**`."""
    return {each.arg or "**": each.value for each in call.keywords}


def argument(call: ast.Call, place: int, name: str) -> ast.expr | None:
    """An argument by its position or name."""
    if len(call.args) > place:
        return call.args[place]
    return keywords(call).get(name)


def literal(node: ast.AST | None) -> object:
    """The value of a constant, or None."""
    return node.value if isinstance(node, ast.Constant) else None


def _parse(body: bytes) -> ast.Module:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise NotPythonError("is not UTF-8") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        line = f"line {error.lineno}: " if error.lineno else ""
        raise NotPythonError(f"is no Python: {line}{error.msg}") from None
    except (RecursionError, MemoryError):
        raise NotPythonError("is nested too deeply to be read") from None
    except ValueError as error:
        raise NotPythonError(f"is no Python: {error}") from None
