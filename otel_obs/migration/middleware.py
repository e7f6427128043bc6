"""Hand-written middleware that counts requests, as otel_obs does by itself.

It is removed only where it does nothing else: each of its statements takes the time, records, or passes on
the response; its labels are those that otel_obs has; and no other code uses the values that it stores.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import NamedTuple

from otel_obs.migration.module import PythonModule, argument, keywords, literal
from otel_obs.migration.places import FoundCode
from otel_obs.migration.request_counters import IMPORT, instrumented

FLASK_HOOKS = ("before_request", "after_request", "teardown_request")
KINDS = {
    "Counter": "http_requests_total",
    "Histogram": "http_request_duration_seconds",
    "Summary": "http_request_duration_seconds",
    "Gauge": "http_requests_in_progress",
}
"""The family of otel_obs that replaces a metric of each kind."""
LABELS = frozenset(
    {"method", "http_method", "endpoint", "path", "path_template", "route", "handler", "url_rule", "status",
     "status_code", "http_status", "code"}
)  # fmt: skip
_RECORDS = frozenset({"inc", "dec", "observe", "set"})
_CLOCKS = frozenset(
    {"time.time", "time.perf_counter", "time.monotonic", "time.time_ns", "time.perf_counter_ns",
     "timeit.default_timer"}
)  # fmt: skip
_HARMLESS_CALLS = frozenset({"str", "int", "float", "len", "getattr", "hasattr", "max", "round"})
_MEMORIES = frozenset({"g", "request"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef
WHAT = "middleware of your own that counts requests"


class RequestHook(NamedTuple):
    """A function that runs around each request."""

    function: _Function
    app: ast.expr


class DeclaredMetric(NamedTuple):
    """A metric of prometheus_client that a module declares."""

    statement: ast.stmt
    family: str
    kind: str
    labels: frozenset[str]

    @property
    def is_of_requests(self) -> bool:
        """Whether otel_obs has the same metric: its name is about HTTP requests, its labels are known."""
        words = ("request", "http", "latency", "response")
        return any(word in self.family.lower() for word in words) and self.labels <= LABELS


def find_middleware(module: PythonModule, foreign: Collection[str]) -> Iterator[FoundCode]:
    """Every hook that records; *foreign* are names that other files use from this one."""
    hooks = list(_hooks(module))
    if not hooks:
        return
    metrics = dict(_declared(module))
    by_app: defaultdict[str, list[RequestHook]] = defaultdict(list)
    for hook in hooks:
        by_app[module.text(hook.app)].append(hook)
    memories = _memories(module)
    for group in by_app.values():
        yield from _of_application(module, group, metrics, memories, foreign)


def _of_application(
    module: PythonModule,
    hooks: list[RequestHook],
    metrics: dict[str, DeclaredMetric],
    memories: dict[tuple[str, str], list[ast.AST]],
    foreign: Collection[str],
) -> Iterator[FoundCode]:
    recording = {hook: recorded for hook in hooks if (recorded := _recorded(hook.function)) is not None}
    if not recording:
        return
    pure = [hook for hook in hooks if _is_pure(module, hook.function, metrics)]
    inside = {node for hook in pure for node in ast.walk(hook.function)}
    names = {name for hook in pure for name in recording.get(hook, ())}
    is_whole = (
        all(hook in pure for hook in recording)
        and all(metrics[name].is_of_requests for name in names)
        and not any(hook.function.name in foreign or module.loads[hook.function.name] for hook in pure)
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
                metric.statement, f"the metric {metric.family}", _names(metric), (metric.statement,)
            )


def _replaced(
    module: PythonModule, hooks: list[RequestHook], metrics: list[DeclaredMetric]
) -> Iterator[FoundCode]:
    remedy = "otel_obs.instrument measures the application; these families take the place: " + ", ".join(
        dict.fromkeys(KINDS[metric.kind] for metric in metrics)
    )
    for number, hook in enumerate(hooks):
        if number:
            yield FoundCode(hook.function, WHAT, "it goes with the first one", (hook.function,))
        else:
            text = instrumented(module, hook.app)
            yield FoundCode(
                hook.function, WHAT, remedy, replaced=((hook.function, text),), imported=(IMPORT,)
            )


def _names(metric: DeclaredMetric) -> str:
    return f"to keep the name, set OTEL_OBS_NAMES={KINDS[metric.kind]}={metric.family}"


def _hooks(module: PythonModule) -> Iterator[RequestHook]:
    for node in module.nodes:
        if not isinstance(node, _Function) or len(node.decorator_list) != 1:
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


def _declared(module: PythonModule) -> Iterator[tuple[str, DeclaredMetric]]:
    for call in module.calls:
        package, kind = module.peer(call.func)
        assigned = module.assigned(call) if package == "prometheus_client" and kind in KINDS else None
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


def _memories(module: PythonModule) -> dict[tuple[str, str], list[ast.AST]]:
    """Every use of attributes that are stored with a request: `g.start`, `request.state.start`."""
    found: defaultdict[tuple[str, str], list[ast.AST]] = defaultdict(list)
    stored = set()
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and (root := _root(node)) in _MEMORIES:
            found[root, node.attr].append(node)
            if isinstance(node.ctx, ast.Store):
                stored.add((root, node.attr))
    return {key: found[key] for key in stored}


def _root(node: ast.AST) -> str:
    value = node.value if isinstance(node, ast.Attribute) else None
    if isinstance(value, ast.Attribute) and value.attr == "state":
        value = value.value
    return value.id if isinstance(value, ast.Name) else ""


def _metric_of(call: ast.AST) -> str | None:
    """The name of the metric that a call such as `REQUESTS.labels(…).inc()` records to."""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    if call.func.attr not in _RECORDS:
        return None
    owner: ast.AST = call.func.value
    if isinstance(owner, ast.Call) and isinstance(owner.func, ast.Attribute) and owner.func.attr == "labels":
        owner = owner.func.value
    elif call.func.attr == "set":
        return None
    return owner.id if isinstance(owner, ast.Name) else ""


def _recorded(function: _Function) -> set[str] | None:
    """The names of the metrics that a function records to; None if it records nothing."""
    found = {name for node in ast.walk(function) if (name := _metric_of(node)) is not None}
    return found or None


def _is_pure(module: PythonModule, function: _Function, metrics: dict[str, DeclaredMetric]) -> bool:
    return all(_is_measuring(module, each, metrics) for each in function.body)


def _is_measuring(module: PythonModule, statement: ast.stmt, metrics: dict[str, DeclaredMetric]) -> bool:
    blocks: list[ast.stmt] = []
    values: list[ast.AST] = []
    match statement:
        case ast.Pass():
            pass
        case ast.Expr(value=ast.Constant()):
            pass
        case ast.Expr(value=call):
            if _metric_of(call) not in metrics:
                return False
            values = _arguments_of_record(call)
        case ast.Assign(targets=[ast.Name() | ast.Attribute() as target], value=value):
            if isinstance(target, ast.Attribute) and _root(target) not in _MEMORIES:
                return False
            values = [value]
        case ast.Return(value=value):
            values = [value] if value is not None else []
        case ast.If(test=test, body=body, orelse=orelse):
            blocks, values = [*body, *orelse], [test]
        case ast.Try(body=body, orelse=orelse, finalbody=final, handlers=[]):
            blocks = [*body, *orelse, *final]
        case _:
            return False
    return all(_is_harmless(module, value) for value in values) and all(
        _is_measuring(module, each, metrics) for each in blocks
    )


def _arguments_of_record(call: ast.AST) -> list[ast.AST]:
    assert isinstance(call, ast.Call)
    values: list[ast.AST] = [*call.args, *keywords(call).values()]
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    if isinstance(owner, ast.Call):
        values += [*owner.args, *keywords(owner).values()]
    return values


def _is_harmless(module: PythonModule, value: ast.AST) -> bool:
    """Whether an expression has no side effect but to call the next handler: clocks, names, arithmetic."""
    for node in ast.walk(value):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            is_get = isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "pop")
            is_harmless = name in _HARMLESS_CALLS or name == "call_next" or is_get
            if not (is_harmless or module.name_of(node.func) in _CLOCKS):
                return False
        elif isinstance(node, ast.NamedExpr | ast.Yield | ast.YieldFrom | ast.Lambda):
            return False
    return True
