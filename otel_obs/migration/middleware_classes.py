"""Classes of hand-written middleware that count requests: of ASGI, of WSGI, and of Starlette.

One goes where it does nothing else, and where the file itself puts it around an application.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from otel_obs.migration.measuring import FunctionNode, MeasuringCode, names_recorded, parameters, root
from otel_obs.migration.module import PythonModule, argument
from otel_obs.migration.places import FoundCode
from otel_obs.migration.request_counters import IMPORT, instrumented
from otel_obs.migration.request_metrics import KINDS, DeclaredMetric

WHAT = "middleware of your own that counts requests"
_BASES = ("object", "BaseHTTPMiddleware")
_INNER = ("wsgi_app", "asgi_app")
"""The attribute by which an application of Flask or Quart is wrapped."""


class Wrapping(NamedTuple):
    """Where a class is put around an application, and the code that takes the place."""

    use: ast.Name
    place: ast.AST
    text: str


class MiddlewareClass(NamedTuple):
    """A class whose objects stand around an application."""

    node: ast.ClassDef
    handler: FunctionNode
    following: frozenset[str]
    """How it calls what is next: `call_next`, `self.app`."""


def find_middleware_classes(
    module: PythonModule,
    metrics: Mapping[str, DeclaredMetric],
    memories: Mapping[tuple[str, str], Collection[ast.AST]],
    foreign: Collection[str],
) -> Iterator[FoundCode]:
    """Every class that records; *foreign* are names that other files take from this one."""
    for node in module.nodes:
        found = _middleware(node) if isinstance(node, ast.ClassDef) else None
        names = (names_recorded(found.node) or set()) if found is not None else set()
        if found is None or not any(name in metrics or name in module.imports for name in names):
            continue
        problem = _why_not(module, found, metrics, memories, foreign, names)
        wrappings = [_wrapping(module, use) for use in module.loads[found.node.name]]
        if problem or not wrappings or None in wrappings:
            problem = problem or _why_not_there(module, found, wrappings)
            yield FoundCode(found.node, WHAT, f"not changed, {problem}")
            continue
        yield from _replaced(module, found, [each for each in wrappings if each], metrics, names, foreign)


def _middleware(node: ast.ClassDef) -> MiddlewareClass | None:
    methods = {each.name: each for each in node.body if isinstance(each, FunctionNode)}
    handler = methods.get("dispatch") or methods.get("__call__")
    if handler is None or not handler.args.args or handler.args.args[0].arg != "self":
        return None
    following = frozenset({"call_next"} & set(parameters(handler)) | _kept_applications(methods))
    is_around = any(
        isinstance(each, ast.Call) and ast.unparse(each.func) in following for each in ast.walk(handler)
    )
    return MiddlewareClass(node, handler, following) if is_around else None


def _kept_applications(methods: Mapping[str, FunctionNode]) -> set[str]:
    """The attributes that an object keeps its first argument in: `self.app`."""
    init = methods.get("__init__")
    given = parameters(init)[1:2] if init is not None else []
    return {
        f"self.{each.targets[0].attr}"
        for each in (init.body if init is not None else ())
        if isinstance(each, ast.Assign)
        and isinstance(each.targets[0], ast.Attribute)
        and isinstance(each.value, ast.Name)
        and each.value.id in given
    }


def _why_not(
    module: PythonModule,
    found: MiddlewareClass,
    metrics: Mapping[str, DeclaredMetric],
    memories: Mapping[tuple[str, str], Collection[ast.AST]],
    foreign: Collection[str],
    names: Collection[str],
) -> str:
    """Why a class cannot be removed, by what is in it; "" where it can."""
    inside = set(ast.walk(found.node))
    does_more = (
        not _is_pure(module, found, metrics)
        or not all(name in metrics and metrics[name].is_of_requests for name in names)
        or not all(use in inside for key in _remembered(inside) for use in memories.get(key, ()))
    )
    if does_more:
        return (
            "as it does or counts more: otel_obs counts requests, durations and errors by itself; "
            "take out by hand what is the same"
        )
    if found.node.name in foreign:
        return "as other files use it: take it out there, and call otel_obs.instrument(app) in its place"
    if module.stores[found.node.name] != 1 or not module.has_own_lines(found.node):
        return "as its name means something else too: take it out, and call otel_obs.instrument(app)"
    return ""


def _remembered(inside: Collection[ast.AST]) -> set[tuple[str, str]]:
    return {(root(node), node.attr) for node in inside if isinstance(node, ast.Attribute)}


def _why_not_there(
    module: PythonModule, found: MiddlewareClass, wrappings: Collection[Wrapping | None]
) -> str:
    uses = zip(module.loads[found.node.name], wrappings, strict=True)
    line = next((use.lineno for use, wrapping in uses if wrapping is None), None)
    where = "nothing in this file puts it" if line is None else f"line {line} puts it in another way"
    return f"as {where} around an application: take it out, and call otel_obs.instrument(app)"


def _is_pure(module: PythonModule, found: MiddlewareClass, metrics: Collection[str]) -> bool:
    """Whether a class has nothing but its handler, what it is made with, and metrics."""
    if found.node.decorator_list or found.node.keywords:
        return False
    if not all(ast.unparse(base).rpartition(".")[2] in _BASES for base in found.node.bases):
        return False
    for each in found.node.body:
        if each is found.handler:
            if not MeasuringCode(module, metrics, found.following).is_pure(found.handler):
                return False
        elif isinstance(each, FunctionNode):
            if each.name != "__init__" or not all(_only_keeps(module, line) for line in each.body):
                return False
        elif not _only_keeps(module, each):
            return False
    return True


def _only_keeps(module: PythonModule, statement: ast.stmt) -> bool:
    """Whether a statement says something, makes a metric, keeps an argument, or calls the base."""
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=base, attr="__init__"))):
            return ast.unparse(base) == "super()"
        case ast.Assign(value=ast.Call(func=made)):
            package, kind = module.peer(made)
            return package == "prometheus_client" and kind in KINDS
        case (
            ast.Assign(value=ast.Name() | ast.Constant())
            | ast.AnnAssign(value=ast.Name() | ast.Constant() | None)
        ):
            return True
    return False


def _wrapping(module: PythonModule, use: ast.Name) -> Wrapping | None:
    """What `app.add_middleware(Class)`, `app.wsgi_app = Class(app.wsgi_app)` or `Class(app)` becomes."""
    call = module.parents[use]
    if not isinstance(call, ast.Call) or any(isinstance(each, ast.Starred) for each in call.args):
        return None
    if call.func is not use:
        alone, func = module.alone(call), call.func
        is_added = (
            isinstance(func, ast.Attribute) and func.attr == "add_middleware" and call.args[:1] == [use]
        )
        if alone is None or not is_added:
            return None
        assert isinstance(func, ast.Attribute)
        return Wrapping(use, alone, instrumented(module, func.value))
    app = argument(call, 0, "app")
    if app is None:
        return None
    if not isinstance(app, ast.Attribute) or app.attr not in _INNER:
        return Wrapping(use, call, instrumented(module, app))
    match module.parents[call]:
        case ast.Assign(targets=[target]) as statement if module.text(target) == module.text(
            app
        ) and module.has_own_lines(statement):
            return Wrapping(use, statement, instrumented(module, app.value))
    return None


def _replaced(
    module: PythonModule,
    found: MiddlewareClass,
    wrappings: Collection[Wrapping],
    metrics: Mapping[str, DeclaredMetric],
    names: Collection[str],
    foreign: Collection[str],
) -> Iterator[FoundCode]:
    mine = [metrics[name] for name in sorted(names)]
    families = ", ".join(dict.fromkeys(KINDS[metric.kind] for metric in mine))
    remedy = f"otel_obs.instrument measures the application; these families take the place: {families}"
    yield FoundCode(
        found.node,
        WHAT,
        remedy,
        (found.node,),
        tuple((each.place, each.text) for each in wrappings),
        (IMPORT,),
    )
    inside = set(ast.walk(found.node))
    for name, metric in zip(sorted(names), mine, strict=True):
        what = f"the metric {metric.family}"
        if metric.statement in inside:
            yield FoundCode(metric.statement, what, metric.remedy, (found.node,))
        elif name not in foreign and all(load in inside for load in module.loads[name]):
            yield FoundCode(metric.statement, what, metric.remedy, (metric.statement,))
