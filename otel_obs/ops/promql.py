"""Translate PromQL from the catalog's names to the names that a service exposes.

Rules and panels are written once, with the families and labels that `docs/metrics.md` lists. `Dialect.say`
translates them to a service's naming: another profile, a namespace, renamed families and labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from otel_obs.catalog import metrics
from otel_obs.catalog.kit.naming import Declaration, Named, Naming
from otel_obs.cells.layout import Kind
from otel_obs.errors import UnsayableError
from otel_obs.exposition.names import sanitize_label

_TOKEN = re.compile(
    r'"(?:\\.|[^"\\])*"|\[[^\]]*\]|\$\{?\w+(?::\w+)?\}?|[A-Za-z_:][\w:]*|\d[\w.]*|\s+|[=!]~|!=|.', re.S
)
_KEYWORDS = frozenset(["and", "or", "unless", "bool", "offset", "inf", "nan", "start", "end", "atan2"])
_GROUPINGS = frozenset(["by", "without", "on", "ignoring", "group_left", "group_right"])
_AGGREGATIONS = frozenset(
    [
        "sum",
        "min",
        "max",
        "avg",
        "group",
        "stddev",
        "stdvar",
        "count",
        "count_values",
        "bottomk",
        "topk",
        "quantile",
    ]
)
_SUFFIXES = ("_bucket", "_sum", "_count")
_MATCHER = re.compile(r'\s*([A-Za-z_]\w*)\s*(=~|!~|!=|=)\s*("(?:\\.|[^"\\])*")\s*,?')
_SUCCESSES = ("success",)


@cache
def _rows() -> Mapping[str, Declaration]:
    return {metric.declaration.family: metric.declaration for _, metric in metrics()}


def row_of(name: str) -> tuple[Declaration | None, str]:
    """The catalog's row that a sample belongs to, and the sample's suffix; None for other metrics."""
    rows = _rows()
    if name in rows:
        return rows[name], ""
    for suffix in _SUFFIXES:
        row = rows.get(name.removesuffix(suffix))
        if name.endswith(suffix) and row is not None and row.kind is Kind.HISTOGRAM:
            return row, suffix
    return None, ""


def names_in(expression: str) -> Iterator[str]:
    """The metric names of the selectors in an expression, as they are written."""
    tokens = _TOKEN.findall(expression)
    for index, token in enumerate(tokens):
        if _is_selector(tokens, index):
            yield token


def families_in(expression: str) -> set[str]:
    """The families of an expression: the catalog's by their classic names, others as they are written."""
    return {row.family if (row := row_of(name)[0]) else name for name in names_in(expression)}


def _is_selector(tokens: list[str], index: int) -> bool:
    token = tokens[index]
    if not re.match(r"[A-Za-z_:]", token) or token.lower() in _KEYWORDS | _GROUPINGS | _AGGREGATIONS:
        return False
    return not _is_in_list(tokens, index) and _next(tokens, index) != "("


def _next(tokens: list[str], index: int) -> str:
    return next((token for token in tokens[index + 1 :] if not token.isspace()), "")


def _is_in_list(tokens: list[str], index: int) -> bool:
    """Whether a token is inside the braces of a selector or the label list of a grouping."""
    for position in range(index - 1, -1, -1):
        token = tokens[position]
        if token in ("}", ")"):
            return False
        if token == "{":
            return True
        if token == "(":
            before = [each for each in tokens[:position] if not each.isspace()]
            return bool(before) and before[-1] in _GROUPINGS
    return False


@dataclass(frozen=True)
class Dialect:
    """Translates expressions for one service.

    Attributes:
        naming: The naming by the service's settings.
        matchers: Added to every selector, such as `job="shop"`, unless the selector has that label already.
    """

    naming: Naming = field(default_factory=Naming)
    matchers: tuple[str, ...] = ()

    def say(self, expression: str) -> str:
        """Translate an expression with classic names to the names of the service.

        Raises:
            UnsayableError: The naming leaves out a label that the expression needs.
        """
        tokens = _TOKEN.findall(expression)
        labels = self._labels(expression)
        said: list[str] = []
        index = 0
        while index < len(tokens):
            token = tokens[index]
            if _is_selector(tokens, index):
                end = index + 1
                inside = ""
                if end < len(tokens) and tokens[end] == "{":
                    close = tokens.index("}", end)
                    inside, end = "".join(tokens[end + 1 : close]), close + 1
                said.append(self._selector(token, inside))
                index = end
            elif token == "{":
                close = tokens.index("}", index)
                said.append(self._selector("", "".join(tokens[index + 1 : close])))
                index = close + 1
            else:
                is_label = re.match(r"[A-Za-z_]", token) and _is_in_list(tokens, index)
                said.append(labels.get(token, token) if is_label else token)
                index += 1
        return "".join(said)

    def can_say(self, expression: str) -> bool:
        """Whether the service exposes all labels that an expression needs."""
        try:
            self.say(expression)
        except UnsayableError:
            return False
        return True

    def legend(self, text: str, expression: str) -> str:
        """Translate the labels of *expression* in a legend such as `{{endpoint}}`."""
        labels = self._labels(expression)
        return re.sub(
            r"\{\{\s*\.?(\w+)\s*\}\}", lambda found: f"{{{{{labels.get(found[1], found[1])}}}}}", text
        )

    def label(self, key: str, expression: str) -> str:
        """The service's name of a label of *expression*."""
        return self._labels(expression).get(key, key)

    def bounds(self, family: str) -> tuple[float, ...]:
        """The upper bounds of a histogram of the catalog under the service's settings."""
        return self.naming.apply(_rows()[family]).bounds

    def _labels(self, expression: str) -> dict[str, str]:
        """The service's names of the labels of every family in an expression."""
        found: dict[str, str] = {}
        for name in names_in(expression):
            row, _ = row_of(name)
            if row is not None:
                accepts = self.naming.apply(row).accepts
                found.update({key: sanitize_label(accepts[key].name) for key in row.attributes})
        return found

    def _selector(self, name: str, inside: str) -> str:
        matchers = _MATCHER.findall(inside)
        row, suffix = row_of(name)
        if row is None:
            said = [f"{key}{operator}{value}" for key, operator, value in matchers]
        else:
            named = self.naming.apply(row)
            name = named.family + suffix if suffix else named.sample
            said = [self._matcher(named, row, *matcher) for matcher in matchers]
        own = {key for key, _, _ in matchers}
        added = [each for each in self.matchers if re.split(r"[=!]", each)[0] not in own]
        everything = ",".join([*added, *said])
        return f"{name}{{{everything}}}" if everything else name

    def _matcher(self, named: Named, row: Declaration, key: str, operator: str, quoted: str) -> str:
        exposed: Any = named.accepts.get(key)
        if exposed is None:
            return f"{key}{operator}{quoted}"
        if not exposed.name:
            raise UnsayableError(row.family, key)
        value = quoted[1:-1]
        if exposed.name == "error.type" and key == "status":
            return _outcome(row.family, operator, value)
        label = sanitize_label(exposed.name)
        return f'{label}{operator}"{exposed.values.get(value, value)}"'


def _outcome(family: str, operator: str, value: str) -> str:
    """The matcher for a status under the semconv profile: only failures have an `error.type`."""
    if value not in ("success", "error") or operator not in ("=", "!="):
        raise UnsayableError(family, f"status{operator}{value}")
    has_failed = (value == "error") is (operator == "=")
    return 'error_type!=""' if has_failed else 'error_type=""'
