"""Hand-written middleware that counts requests, as otel_obs does by itself.

It goes only where it does nothing else: each of its statements takes the time, records, or hands the answer
on; the labels are those that otel_obs has; and nobody else uses what it remembers.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import NamedTuple

from otel_obs.migration.measuring import MEMORIES, FunctionNode, MeasuringCode, names_recorded, root
from otel_obs.migration.middleware_classes import WHAT, find_middleware_classes
from otel_obs.migration.module import PythonModule, argument, keywords, literal
from otel_obs.migration.places import FoundCode
from otel_obs.migration.request_counters import IMPORT, instrumented
from otel_obs.migration.request_metrics import KINDS, DeclaredMetric, declared_in_code

FLASK_HOOKS = ("before_request", "after_request", "teardown_request")


class RequestHook(NamedTuple):
    """A function that runs around each request.

    Attributes:
        function: The function.
        app: The application that calls it.
        added: The statement that registers it; None where a decorator does.
    """

    function: FunctionNode
    app: ast.expr
    added: ast.stmt | None = None


def find_middleware(module: PythonModule, foreign: Collection[str]) -> Iterator[FoundCode]:
    """Every hook and class that records; *foreign* are names that other files take from this one."""
    metrics = dict(declared_in_code(module))
    memories = _memories(module)
    yield from find_middleware_classes(module, metrics, memories, foreign)
    hooks = [*_hooks(module), *_added_hooks(module)]
    by_app: defaultdict[str, list[RequestHook]] = defaultdict(list)
    for hook in hooks:
        by_app[module.text(hook.app)].append(hook)
    for group in by_app.values():
        yield from _of_application(module, group, metrics, memories, foreign)


def _of_application(
    module: PythonModule,
    hooks: list[RequestHook],
    metrics: dict[str, DeclaredMetric],
    memories: dict[tuple[str, str], list[ast.AST]],
    foreign: Collection[str],
) -> Iterator[FoundCode]:
    recording = {hook: names for hook in hooks if (names := names_recorded(hook.function)) is not None}
    if not recording:
        return
    measuring = MeasuringCode(module, metrics)
    pure = [hook for hook in hooks if measuring.is_pure(hook.function)]
    inside = {node for hook in pure for node in ast.walk(hook.function)}
    names = {name for hook in pure for name in recording.get(hook, ())}
    is_whole = (
        all(hook in pure for hook in recording)
        and all(metrics[name].is_of_requests for name in names)
        and not any(hook.function.name in foreign or _is_used(module, hook) for hook in pure)
        and all(
            node in inside
            for uses in memories.values()
            if any(each in inside for each in uses)
            for node in uses
        )
    )
    if not is_whole:
        for hook in recording:
            remedy = (
                "not changed, as it does or counts more: otel_obs counts requests, durations and errors by "
                "itself; take out by hand what is the same"
            )
            yield FoundCode(hook.function, WHAT, remedy)
        return
    yield from _replaced(module, pure, [metrics[name] for name in sorted(names)])
    for name in sorted(names):
        metric = metrics[name]
        if name not in foreign and all(load in inside for load in module.loads[name]):
            yield FoundCode(
                metric.statement, f"the metric {metric.family}", metric.remedy, (metric.statement,)
            )


def _replaced(
    module: PythonModule, hooks: list[RequestHook], metrics: list[DeclaredMetric]
) -> Iterator[FoundCode]:
    remedy = "otel_obs.instrument measures the application; these families take the place: " + ", ".join(
        dict.fromkeys(KINDS[metric.kind] for metric in metrics)
    )
    for number, hook in enumerate(hooks):
        place = hook.added or hook.function
        removed = (hook.function,) if hook.added else ()
        if number:
            yield FoundCode(hook.function, WHAT, "it goes with the first one", (*removed, place))
        else:
            text = instrumented(module, hook.app)
            yield FoundCode(hook.function, WHAT, remedy, removed, ((place, text),), (IMPORT,))


def _is_used(module: PythonModule, hook: RequestHook) -> bool:
    """Whether other code calls the function itself."""
    return len(module.loads[hook.function.name]) > (hook.added is not None)


def _hooks(module: PythonModule) -> Iterator[RequestHook]:
    for node in module.nodes:
        if not isinstance(node, FunctionNode) or len(node.decorator_list) != 1:
            continue
        sign = node.decorator_list[0]
        called = sign.func if isinstance(sign, ast.Call) else sign
        if not isinstance(called, ast.Attribute) or not module.has_own_lines(node):
            continue
        is_http = isinstance(sign, ast.Call) and called.attr == "middleware" and _is_http(sign)
        if is_http or (called is sign and called.attr in FLASK_HOOKS):
            yield RequestHook(node, called.value)


def _is_http(sign: ast.Call) -> bool:
    return literal(argument(sign, 0, "middleware_type")) == "http"


def _added_hooks(module: PythonModule) -> Iterator[RequestHook]:
    """Functions that a call gives to an application: `app.before_request(start)`."""
    functions = {
        node.name: node for node in module.nodes if isinstance(node, FunctionNode) and not node.decorator_list
    }
    for call in module.calls:
        alone, given = module.alone(call), _given(call)
        if alone is None or given is None:
            continue
        app, name = given
        function = functions.get(name)
        if function is not None and module.stores[name] == 1 and module.has_own_lines(function):
            yield RequestHook(function, app, alone)


def _given(call: ast.Call) -> tuple[ast.expr, str] | None:
    """The application, and the function that it is given."""
    match call:
        case ast.Call(func=ast.Attribute(value=app, attr=method), args=[ast.Name(id=name)], keywords=[]):
            return (app, name) if method in FLASK_HOOKS else None
        case ast.Call(
            func=ast.Call(func=ast.Attribute(value=app, attr="middleware")) as sign, args=[ast.Name(id=name)]
        ):
            return (app, name) if _is_http(sign) else None
        case ast.Call(func=ast.Attribute(value=app, attr="add_middleware")):
            dispatch = keywords(call).get("dispatch")
            return (app, dispatch.id) if isinstance(dispatch, ast.Name) else None
    return None


def _memories(module: PythonModule) -> dict[tuple[str, str], list[ast.AST]]:
    """Where anything is remembered with a request: `g.start`, `request.state.start`."""
    found: defaultdict[tuple[str, str], list[ast.AST]] = defaultdict(list)
    stored = set()
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and (owner := root(node)) in MEMORIES:
            found[owner, node.attr].append(node)
            if isinstance(node.ctx, ast.Store):
                stored.add((owner, node.attr))
    return {key: found[key] for key in stored}
