"""Metrics that modules declare with `prometheus_client`, and which of them otel_obs has itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from otel_obs.migration.module import PythonModule, argument, keywords, literal

KINDS = {
    "Counter": "http_requests_total",
    "Histogram": "http_request_duration_seconds",
    "Summary": "http_request_duration_seconds",
    "Gauge": "http_requests_in_progress",
}
"""What otel_obs has in the place of each kind."""
LABELS = frozenset(
    {"method", "http_method", "endpoint", "path", "path_template", "route", "handler", "url_rule", "status",
     "status_code", "http_status", "code"}
)  # fmt: skip


class DeclaredMetric(NamedTuple):
    """A metric of prometheus_client that a module declares."""

    statement: ast.stmt
    family: str
    kind: str
    labels: frozenset[str]

    @property
    def is_of_requests(self) -> bool:
        """Whether otel_obs has the same: of HTTP by its name, with labels that are known."""
        words = ("request", "http", "latency", "response")
        return any(word in self.family.lower() for word in words) and self.labels <= LABELS

    @property
    def remedy(self) -> str:
        """How its name is kept."""
        name = KINDS[self.kind]
        is_same = name == self.family
        return "the name stays" if is_same else f"to keep the name, set OTEL_OBS_NAMES={name}={self.family}"


def declared_in_code(module: PythonModule) -> Iterator[tuple[str, DeclaredMetric]]:
    """Every metric that has a name of its own in the module, or is `self.name` of a class."""
    for call in module.calls:
        package, kind = module.peer(call.func)
        if package != "prometheus_client" or kind not in KINDS:
            continue
        assigned = _of_class(module, call) or module.assigned(call)
        family, labels = literal(argument(call, 0, "name")), argument(call, 2, "labelnames")
        if assigned is None or not isinstance(family, str) or set(keywords(call)) & {"registry", "**"}:
            continue
        if isinstance(labels, ast.List | ast.Tuple):
            given = frozenset(str(literal(each)) for each in labels.elts)
        else:
            given = frozenset() if labels is None else frozenset({"?"})
        if kind == "Counter":
            family = family.removesuffix("_total") + "_total"
        yield assigned[1], DeclaredMetric(assigned[0], family, kind, given)


def _of_class(module: PythonModule, call: ast.Call) -> tuple[ast.stmt, str] | None:
    """A metric that a class has, or each of its objects."""
    statement = module.parents[call]
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]) if isinstance(module.parents[statement], ast.ClassDef):
            return statement, f"self.{name}"
        case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)]):
            return statement, f"self.{name}"
    return None
