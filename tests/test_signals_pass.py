"""What a signal handler of the application raises passes through all of our error handling."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import otel_obs

PACKAGE = Path(otel_obs.__file__).parent
COMMANDS = ("checks", "cli", "demonstration", "diagnosis", "live", "migration", "ops", "reading", "usage")
"""Parts that run in processes of their own."""

WIDE = frozenset(("BaseException", "ConnectionError", "Exception", "OSError", "TimeoutError"))
"""What a handler may raise is among these."""

ON_OTHER_THREADS = {
    "host/errands.py": "the functions of the application run on threads of ours",
    "prometheus/asgi.py": "passed on to the event loop",
    "rundir/aftercare.py": "a process of its own",
    "sdk/refresh.py": "the thread that keeps callbacks fresh",
    "serving/port.py": "the threads of the port of its own",
    "serving/server.py": "the thread of the port of its own",
    "serving/address.py": "bound by that thread",
}
"""Handlers are called on the main thread alone."""

RAISING = {
    "host/forks.py": "the interpreter swallows what a hook of a fork raises; the mark is made at the import",
    "push/declared.py": "becomes the error of a setting, while the process starts",
    "sdk/context_managers.py": "thrown into the generator that the application wrote",
    "settings/parsers.py": "while the process starts",
    "settings/values.py": "becomes the error of a setting",
    "tracing.py": "thrown into the generator that the application wrote",
}


def names(node: ast.AST | None) -> set[str]:
    if node is None:
        return {"BaseException"}
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def catching(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The lines where a handler's exception may be caught, and what is done with it there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and names(node.type) & WIDE:
            yield node.lineno, ast.unparse(node)
        if isinstance(node, ast.Call) and is_suppressing(node):
            yield node.lineno, ast.unparse(node)


def is_suppressing(call: ast.Call) -> bool:
    return ast.unparse(call.func).endswith("suppress") and bool(names(ast.Tuple(call.args)) & WIDE)


def passes(text: str) -> bool:
    known = ("raise_interruption(", "interruption_of(", ".failed(")
    return any(each in text for each in known) or text.splitlines()[-1].strip() == "raise"


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in COMMANDS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_handler_of_errors_keeps_what_a_signal_handler_raises(path: Path) -> None:
    name = path.relative_to(PACKAGE).as_posix()
    found = [line for line, text in catching(ast.parse(path.read_text())) if not passes(text)]
    if name in ON_OTHER_THREADS or name in RAISING:
        assert found, f"{name} is no exception any more"
    else:
        assert found == []
