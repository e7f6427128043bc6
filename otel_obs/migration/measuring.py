"""Code that only measures: each statement takes the time, records, or hands on what comes and goes."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping

from otel_obs.migration.module import PythonModule, keywords

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

_RECORDS = frozenset({"inc", "dec", "observe", "set"})
_AROUND = frozenset({"time", "track_inprogress", "count_exceptions"})
_CLOCKS = frozenset(
    {"time.time", "time.perf_counter", "time.monotonic", "time.time_ns", "time.perf_counter_ns",
     "timeit.default_timer"}
)  # fmt: skip
_HARMLESS_CALLS = frozenset(
    {"str", "int", "float", "len", "getattr", "hasattr", "isinstance", "max", "round"}
)
_HARMLESS_METHODS = frozenset(
    {"get", "pop", "split", "partition", "upper", "lower", "startswith", "endswith", "decode"}
)
MEMORIES = frozenset({"g", "request"})


def root(node: ast.AST) -> str:
    """The name that an attribute, of itself or of its state, is of."""
    value = node.value if isinstance(node, ast.Attribute) else None
    if isinstance(value, ast.Attribute) and value.attr == "state":
        value = value.value
    return value.id if isinstance(value, ast.Name) else ""


def metric_of(call: ast.AST, methods: Collection[str] = _RECORDS) -> str | None:
    """What a call such as `REQUESTS.labels(…).inc()` records to: a name, `self.name`, or "" for all else."""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    if call.func.attr not in methods:
        return None
    owner: ast.AST = call.func.value
    if isinstance(owner, ast.Call) and isinstance(owner.func, ast.Attribute) and owner.func.attr == "labels":
        owner = owner.func.value
    elif call.func.attr == "set":
        return None
    if isinstance(owner, ast.Attribute) and isinstance(owner.value, ast.Name) and owner.value.id == "self":
        return f"self.{owner.attr}"
    return owner.id if isinstance(owner, ast.Name) else ""


def names_recorded(code: ast.AST) -> set[str] | None:
    """What a function or a class records to; None if it records nothing."""
    nodes = list(ast.walk(code))
    around = [each.context_expr for node in nodes if isinstance(node, ast.With) for each in node.items]
    every = [*(metric_of(node) for node in nodes), *(metric_of(each, _AROUND) for each in around)]
    found = {name for name in every if name is not None}
    return found or None


class MeasuringCode:
    """Whether functions of a module do nothing but measure.

    Args:
        module: The module.
        metrics: The names of the metrics that they may record to.
        following: What may be called with the parameters as they came: `call_next`, `self.app`.
    """

    def __init__(
        self, module: PythonModule, metrics: Collection[str], following: Iterable[str] = ("call_next",)
    ) -> None:
        self._module, self._metrics, self._following = module, metrics, frozenset(following)
        self._within: Mapping[str, FunctionNode] = {}
        self._parameters: frozenset[str] = frozenset()

    def is_pure(self, function: FunctionNode) -> bool:
        """Whether a function, with those in it, only measures."""
        within = [node for node in ast.walk(function) if isinstance(node, FunctionNode)]
        self._within = {node.name: node for node in within[1:]}
        self._parameters = frozenset(name for node in within for name in parameters(node))
        return self._are_measuring(function.body)

    def _are_measuring(self, block: Iterable[ast.stmt]) -> bool:
        return all(self._is_measuring(each) for each in block)

    def _is_measuring(self, statement: ast.stmt) -> bool:
        blocks: list[ast.stmt] = []
        values: list[ast.AST] = []
        match statement:
            case ast.Pass() | ast.Nonlocal() | ast.Raise(exc=None):
                pass
            case ast.Expr(value=ast.Constant()):
                pass
            case ast.Expr(value=ast.Await(value=ast.Call() as call)) if self._hands_on(call):
                pass
            case ast.Expr(value=call):
                if metric_of(call) not in self._metrics:
                    return False
                values = _arguments_of_record(call)
            case ast.Assign(targets=[ast.Name() | ast.Attribute() as target], value=value):
                if not self._may_be_given(target):
                    return False
                values = [value]
            case ast.AugAssign(target=ast.Name() as target, value=value):
                if not self._may_be_given(target):
                    return False
                values = [value]
            case ast.Return(value=value):
                values = [value] if value is not None else []
            case ast.If(test=test, body=body, orelse=orelse):
                blocks, values = [*body, *orelse], [test]
            case ast.Try(body=body, orelse=orelse, finalbody=final, handlers=handlers):
                # An exception goes on as it came.
                if not all(_raises_again(each) for each in handlers):
                    return False
                blocks = [*body, *orelse, *final, *(line for each in handlers for line in each.body)]
            case ast.With(items=items, body=body):
                if not all(metric_of(each.context_expr, _AROUND) in self._metrics for each in items):
                    return False
                blocks = body
                values = [value for each in items for value in _arguments_of_record(each.context_expr)]
            case (
                ast.FunctionDef(body=body, decorator_list=[])
                | ast.AsyncFunctionDef(body=body, decorator_list=[])
            ):
                blocks = body
            case _:
                return False
        return all(self._is_harmless(value) for value in values) and self._are_measuring(blocks)

    def _may_be_given(self, target: ast.Name | ast.Attribute) -> bool:
        """Whether only what measures reads it: no parameter, which is handed on."""
        if isinstance(target, ast.Attribute):
            return root(target) in MEMORIES
        return target.id not in self._parameters

    def _hands_on(self, call: ast.Call) -> bool:
        """Whether a call is what comes next, with what has come: parameters, or functions in their place."""
        if self._module.text(call.func) not in self._following | self._parameters:
            return False
        given = [*call.args, *keywords(call).values()]
        given = [each.value if isinstance(each, ast.Starred) else each for each in given]
        return all(
            isinstance(each, ast.Name) and (each.id in self._parameters or each.id in self._within)
            for each in given
        )

    def _is_harmless(self, value: ast.AST) -> bool:
        """Whether an expression only looks: a clock, a name, arithmetic, or the call of what comes next."""
        for node in ast.walk(value):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                is_look = isinstance(node.func, ast.Attribute) and node.func.attr in _HARMLESS_METHODS
                is_harmless = name in _HARMLESS_CALLS or is_look or self._hands_on(node)
                if not (is_harmless or self._module.name_of(node.func) in _CLOCKS):
                    return False
            elif isinstance(node, ast.NamedExpr | ast.Yield | ast.YieldFrom | ast.Lambda):
                return False
        return True


def parameters(function: FunctionNode) -> list[str]:
    """The names of all parameters."""
    given = function.args
    both = (given.vararg, given.kwarg)
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, *(each for each in both if each)]
    return [each.arg for each in every]


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _arguments_of_record(call: ast.AST) -> list[ast.AST]:
    assert isinstance(call, ast.Call)
    values: list[ast.AST] = [*call.args, *keywords(call).values()]
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    if isinstance(owner, ast.Call):
        values += [*owner.args, *keywords(owner).values()]
    return values
