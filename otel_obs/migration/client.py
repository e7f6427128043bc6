"""Code for the multi-process mode of prometheus_client, which otel_obs does not need; other uses stay."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from otel_obs.migration.module import PythonModule, argument, keywords, literal
from otel_obs.migration.places import FoundCode
from otel_obs.migration.request_counters import PORT

VARIABLES = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
HOOKS = frozenset(
    {
        "on_starting", "on_reload", "when_ready", "pre_fork", "post_fork", "post_worker_init", "worker_int",
        "worker_abort", "worker_exit", "child_exit", "nworkers_changed", "on_exit",
    }
)  # fmt: skip
"""Gunicorn's server hooks; one that becomes empty is removed."""
_DIRECTORY_CALLS = frozenset(
    {
        "os.environ.setdefault", "os.environ.pop", "os.putenv", "os.unsetenv", "os.makedirs", "os.mkdir",
        "shutil.rmtree",
    }
)  # fmt: skip
_ASKING_CALLS = frozenset({"os.environ.get", "os.getenv", "os.path.exists", "os.path.isdir"})
_SHOWING = frozenset({"generate_latest", "make_wsgi_app", "make_asgi_app", "start_http_server"})
_WEB = ("flask", "fastapi", "starlette")
FEW = 20
"""A registry with more uses than this is left alone: it is more than one that a page shows."""
DIRECTORY = "the directory of the multi-process mode"


def find_client(module: PythonModule) -> Iterator[FoundCode]:
    """Every place that otel_obs makes superfluous."""
    yield from _directory(module)
    has_app = any(name.partition(".")[0] in _WEB for name in module.imports.values())
    for call in module.calls:
        package, name = module.peer(call.func)
        if package != "prometheus_client":
            continue
        if name == "MultiProcessCollector":
            yield _collector(module, call)
        elif name == "mark_process_dead":
            alone = module.alone(call)
            remedy = "nothing is left to do for a worker that dies"
            yield FoundCode(call, "mark_process_dead", remedy, removed=(alone,) if alone else ())
        elif name in ("start_http_server", "start_wsgi_server"):
            function = module.function(call)
            if has_app or (function is not None and function.name in HOOKS):
                yield _server(module, call, name)


def names_directory(node: ast.AST) -> bool:
    """Whether a node is the name of the directory's variable."""
    return isinstance(node, ast.Constant) and node.value in VARIABLES


def _directory(module: PythonModule) -> Iterator[FoundCode]:
    gone: set[ast.AST] = set()
    for node in [node for node in module.nodes if names_directory(node)]:
        if node in gone:
            continue
        statement = _outermost(module, module.statement(node))
        if _is_set_up(module, statement):
            gone.update(each for each in ast.walk(statement) if names_directory(each))
            remedy = (
                f"nothing is written to it: it goes, and {VARIABLES[0]} from where the service is started"
            )
            yield FoundCode(statement, DIRECTORY, remedy, (statement,), needs_no_directory=True)
        else:
            remedy = "not changed, as more hangs on it: with otel_obs nobody needs it, take it out by hand"
            yield FoundCode(node, DIRECTORY, remedy)


def _outermost(module: PythonModule, statement: ast.stmt) -> ast.stmt:
    """The outermost `if` around a statement that does no more than set up the directory."""
    parent = module.parents[statement]
    while isinstance(parent, ast.If) and _is_set_up(module, parent):
        statement, parent = parent, module.parents[parent]
    return statement


def _is_set_up(module: PythonModule, statement: ast.stmt) -> bool:
    """Whether a statement does no more than set up the directory; the answer is cached."""
    known = module.known_set_ups
    if statement not in known:
        known[statement] = module.has_own_lines(statement) and _sets_up(module, statement)
    return known[statement]


def _sets_up(module: PythonModule, statement: ast.stmt) -> bool:
    if isinstance(statement, ast.If):
        calls = [node for node in ast.walk(statement.test) if isinstance(node, ast.Call)]
        return (
            any(names_directory(node) for node in ast.walk(statement.test))
            and all(module.name_of(call.func) in _ASKING_CALLS for call in calls)
            and not statement.orelse
            and all(_is_set_up(module, each) for each in statement.body)
        )
    if not isinstance(statement, ast.Assign | ast.Delete | ast.Expr):
        return False
    if not any(names_directory(node) for node in ast.walk(statement)):
        return False
    if isinstance(statement, ast.Assign | ast.Delete):
        return all(_is_variable(module, target) for target in statement.targets)
    call = statement.value
    return isinstance(call, ast.Call) and module.name_of(call.func) in _DIRECTORY_CALLS


def _is_variable(module: PythonModule, target: ast.expr) -> bool:
    is_environment = isinstance(target, ast.Subscript) and module.name_of(target.value) == "os.environ"
    return is_environment and names_directory(target.slice)  # type: ignore[attr-defined]


def _collector(module: PythonModule, call: ast.Call) -> FoundCode:
    what = "MultiProcessCollector"
    alone, registry = module.alone(call), argument(call, 0, "registry")
    made = _new_registry(module, call, registry) if isinstance(registry, ast.Name) else None
    if alone is None or made is None or argument(call, 1, "path") is not None:
        return FoundCode(call, what, "not changed, and right as it is: it gives the registry everything")
    return FoundCode(
        call,
        what,
        "the default registry has the values of all workers",
        removed=(alone,),
        replaced=((made, "REGISTRY"),),
        imported=("from prometheus_client import REGISTRY",),
    )


def _new_registry(module: PythonModule, call: ast.Call, registry: ast.Name) -> ast.Call | None:
    """The call that makes a registry which is assigned once and then only exposed; else None."""
    inside = module.names_in(module.function(call), registry.id)
    if len(inside) > FEW or "REGISTRY" in module.stores:
        return None
    stored = [node for node in inside if not isinstance(node.ctx, ast.Load)]
    parent = module.parents[stored[0]] if len(stored) == 1 else None
    made = parent.value if isinstance(parent, ast.Assign) else None
    if not isinstance(made, ast.Call) or module.peer(made.func)[1] != "CollectorRegistry":
        return None
    if module.imports.get("REGISTRY", "prometheus_client.REGISTRY") != "prometheus_client.REGISTRY":
        return None
    others = [node for node in inside if node not in (registry, stored[0])]
    return made if all(_is_showing(module, node) for node in others) else None


def _is_showing(module: PythonModule, node: ast.AST) -> bool:
    parent = module.parents[node]
    call = module.parents[parent] if isinstance(parent, ast.keyword) else parent
    return isinstance(call, ast.Call) and module.peer(call.func)[1] in _SHOWING


def _server(module: PythonModule, call: ast.Call, name: str) -> FoundCode:
    alone, port = module.alone(call), literal(argument(call, 0, "port"))
    what = f"{name}, which only one worker can do on its port"
    if alone is None or set(keywords(call)) - {"port", "addr"} or len(call.args) > 2:
        return FoundCode(call, what, f"not changed, as it is part of more: {PORT}")
    setting = f"OTEL_EXPORTER_PROMETHEUS_PORT={port}" if port is not None else "OTEL_EXPORTER_PROMETHEUS_PORT"
    host = "OTEL_EXPORTER_PROMETHEUS_HOST=0.0.0.0 for other machines"
    remedy = f"the application serves /metrics; set {setting} for a port of its own ({host})"
    return FoundCode(call, what, remedy, removed=(alone,))
