"""The series that a PromQL expression selects, and the labels that it needs them to have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import promql_parser as promql

# Neither a format nor a string reaches over the next start of one, or begins without an end: linear time.
_VARIABLE = re.compile(r"\$\{\w+(?::[^{}$]*)?\}|\$\w+|\[\[\w+(?::\w+)?\]\]")
_DURATION = re.compile(r"(\[|:|offset\s+-?|@\s*)(" + _VARIABLE.pattern + ")")
_STRING = re.compile(r'"(?:\\.|[^"\\])*"?' + r"|'(?:\\.|[^'\\])*'?|`[^`]*`?", re.S)
_OPERATION = re.compile(r"[-+*/%^(<>=]|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_PLACEHOLDER = "variable_of_grafana"

MAX_OPERATIONS = 500
"""The most that are parsed: each may be nested in the one before, which takes the parser quadratic time."""


class Selector(NamedTuple):
    """One selector of an expression.

    Attributes:
        name: The metric's name; "" where a pattern or a variable selects it.
        needs: The labels that a series must have to be selected.
        groups: The labels by which surrounding operations group or join.
        bounds: The values of `le` that it compares with.
        values: The labels that are compared with `=`, each with its value.
    """

    name: str
    needs: frozenset[str]
    groups: frozenset[str]
    bounds: frozenset[str] = frozenset()
    values: tuple[tuple[str, str], ...] = ()


class NotPromqlError(ValueError):
    """A text is not a PromQL expression; the message is the parser's."""


def selectors_of(expression: str) -> list[Selector]:
    """The selectors of an expression, which may contain Grafana variables.

    Raises:
        NotPromqlError: It cannot be parsed.
    """
    text = _without_variables(expression)
    if len(_OPERATION.findall(_STRING.sub("", text))) > MAX_OPERATIONS:
        raise NotPromqlError(f"it has more than {MAX_OPERATIONS} operations; it is not read")
    try:
        tree = promql.parse(text)
    except ValueError as error:
        raise NotPromqlError(str(error)) from None
    return list(_walk(tree, frozenset()))


def _without_variables(expression: str) -> str:
    """Replace variables, which PromQL cannot parse: by a duration where one is expected, else by a word."""
    text = _DURATION.sub(lambda found: found[1] + ("0" if found[1].startswith("@") else "5m"), expression)
    parts, at = [], 0
    for string in _STRING.finditer(text):
        parts += [_VARIABLE.sub(_PLACEHOLDER, text[at : string.start()]), string[0]]
        at = string.end()
    return "".join([*parts, _VARIABLE.sub(_PLACEHOLDER, text[at:])])


def _walk(tree: Any, groups: frozenset[str]) -> Iterator[Selector]:
    if isinstance(tree, promql.VectorSelector):
        yield from _selectors(tree, groups)
    elif isinstance(tree, promql.MatrixSelector):
        yield from _selectors(tree.vector_selector, groups)
    elif isinstance(tree, promql.AggregateExpr):
        by = _listed(tree.modifier, promql.AggModifierType.By)
        yield from _walk(tree.expr, groups | by)
    elif isinstance(tree, promql.BinaryExpr):
        matching = tree.modifier.matching if tree.modifier is not None else None
        joined = groups | _listed(matching, promql.LabelModifierType.Include)
        yield from _walk(tree.lhs, joined)
        yield from _walk(tree.rhs, joined)
    elif isinstance(tree, promql.Call):
        made = _made_labels(tree)
        for argument in tree.args:
            yield from _walk(argument, groups - made)
    elif hasattr(tree, "expr"):
        yield from _walk(tree.expr, groups)


def _listed(modifier: Any, kind: Any) -> frozenset[str]:
    """The labels of a `by` or `on` modifier; none for `without` and `ignoring`."""
    return frozenset(modifier.labels) if modifier is not None and modifier.type == kind else frozenset()


def _made_labels(call: Any) -> frozenset[str]:
    """The label that `label_replace` or `label_join` makes: the series need not have it."""
    if call.func.name in ("label_replace", "label_join") and len(call.args) > 1:
        return frozenset([call.args[1].val])
    return frozenset()


def _selectors(tree: Any, groups: frozenset[str]) -> Iterator[Selector]:
    alternatives: Iterable[Any] = tree.matchers.or_matchers or [tree.matchers.matchers]
    for matchers in alternatives:
        names = [m.value for m in matchers if m.name == "__name__" and m.op == promql.MatchOp.Equal]
        name = tree.name or (names[0] if names else "")
        given = [m for m in matchers if m.name != "__name__"]
        exact = {m.name: m.value for m in given if m.op == promql.MatchOp.Equal and m.value}
        yield Selector(
            "" if _PLACEHOLDER in name or "$" in name else name,
            frozenset(m.name for m in given if _needs_label(m)),
            groups,
            frozenset(value for label, value in exact.items() if label == "le"),
            tuple(sorted((label, value) for label, value in exact.items() if "$" not in value)),
        )


def _needs_label(matcher: Any) -> bool:
    """Whether the matcher selects only series that have the label."""
    if matcher.op == promql.MatchOp.Equal:
        return bool(matcher.value)
    if matcher.op == promql.MatchOp.NotEqual:
        return not matcher.value
    if "$" in matcher.value:
        return bool(matcher.op == promql.MatchOp.Re)
    # The PromQL parser accepted the pattern; one that Python's `re` refuses is assumed to need the label.
    try:
        matches_nothing = re.fullmatch(matcher.value, "") is not None
    except re.error:
        return True
    return matches_nothing is not bool(matcher.op == promql.MatchOp.Re)
