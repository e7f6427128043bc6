"""The users of metrics: rules of Prometheus in YAML, and dashboards of Grafana in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from otel_obs.errors import UnreadableError
from otel_obs.usage.expressions import NotPromqlError, Selector, selectors_of

_QUERY = re.compile(r"\s*(label_values|query_result|metrics)\((.*)\)\s*$", re.S)
_LAST_ARGUMENT = re.compile(r"(.*),\s*([A-Za-z_]\w*)\s*$", re.S)


class User(NamedTuple):
    """One expression: the file and the rule or panel that has it, and the name of a recording rule."""

    where: str
    expression: str
    records: str = ""


class Used(NamedTuple):
    """A user with its selectors; `problem` is the parser's message where there are none."""

    user: User
    selectors: tuple[Selector, ...]
    problem: str = ""


def read_users(rules: Iterable[Path], dashboards: Iterable[Path]) -> list[Used]:
    """Read files, and directories of them.

    Raises:
        UnreadableError: A file does not exist, is not valid YAML or JSON, or has neither rules nor panels.
    """
    users = _users_in(
        rules, (".yml", ".yaml", ".rules"), lambda path: rules_in(_yaml(path), str(path)), "rule"
    )
    users += _users_in(
        dashboards, (".json",), lambda path: panels_in(_json(path), str(path)), "query of a panel"
    )
    return [used(user) for user in users]


def used(user: User) -> Used:
    """Parse the expression of a user."""
    try:
        return Used(user, tuple(selectors_of(user.expression)))
    except NotPromqlError as error:
        return Used(user, (), str(error))


def _users_in(
    paths: Iterable[Path], endings: Sequence[str], read: Callable[[Path], Iterator[User]], kind: str
) -> list[User]:
    """The users in files and directories; each path that was given must have at least one."""
    users: list[User] = []
    for path in paths:
        found = [user for file in _files([path], endings) for user in read(file)]
        if not found:
            raise UnreadableError(str(path), f"holds no {kind}", "give the file or the directory that does")
        users += found
    return users


def _files(paths: Iterable[Path], endings: Sequence[str]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (file for file in sorted(path.rglob("*")) if file.suffix in endings and file.is_file())
        elif path.exists():
            yield path
        else:
            raise UnreadableError(str(path), "is no file and no directory")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UnreadableError(str(path), f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise UnreadableError(str(path), "is not UTF-8") from None


def _yaml(path: Path) -> list[Any]:
    try:
        return list(yaml.safe_load_all(_text(path)))
    except (yaml.YAMLError, RecursionError) as error:
        raise UnreadableError(str(path), f"is no YAML: {' '.join(str(error).split())}") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(str(path), f"is no JSON: {error}") from None


def rules_in(documents: Iterable[Any], where: str) -> Iterator[User]:
    """The rules of a Prometheus rule file, or of PrometheusRule objects of Kubernetes.

    Other YAML documents, as a directory may hold, give none.
    """
    for document in documents:
        groups = _under(document, "groups") or _under(_under(document, "spec"), "groups")
        for group in groups if isinstance(groups, list) else ():
            rules = _under(group, "rules")
            for rule in rules if isinstance(rules, list) else ():
                if _under(rule, "expr") is not None:
                    yield _rule(rule, where)


def _under(node: Any, key: str) -> Any:
    """The value of a key; None where *node* is not a mapping or lacks the key."""
    return node.get(key) if isinstance(node, dict) else None


def _rule(rule: dict[str, Any], where: str) -> User:
    recorded = str(rule.get("record") or "")
    name = f"record {recorded}" if recorded else f"alert {rule.get('alert') or rule.get('name') or '?'}"
    return User(f"{where}: {name}", str(rule.get("expr", rule.get("query", ""))), recorded)


def panels_in(board: Any, where: str) -> Iterator[User]:
    """Every expression of a dashboard: of its panels at any depth, of its variables and annotations."""
    waiting: list[tuple[Any, str]] = [(board, "")]
    while waiting:
        node, title = waiting.pop()
        if isinstance(node, list):
            waiting += [(each, title) for each in reversed(node)]
        elif isinstance(node, dict):
            named = node.get("title") or (node.get("name") if "query" in node else None)
            title = named if isinstance(named, str) else title
            expression = node.get("expr")
            if isinstance(expression, str) and expression.strip():
                yield User(f"{where}: {title or 'panel'}", expression)
            yield from _variable(node, f"{where}: {title or 'variable'}")
            waiting += [(each, title) for each in reversed(node.values())]


def _variable(node: dict[str, Any], where: str) -> Iterator[User]:
    """A variable's query: `label_values(up{job="a"}, instance)`, `query_result(…)`."""
    query = node.get("query")
    found = _QUERY.match(query) if isinstance(query, str) else None
    if found is None or found[1] == "metrics":
        return
    arguments = _LAST_ARGUMENT.match(found[2]) if found[1] == "label_values" else None
    if found[1] == "query_result":
        yield User(where, found[2])
    elif arguments is not None:
        yield User(where, f"group by ({arguments[2]}) ({arguments[1]})")
