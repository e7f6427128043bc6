"""Libraries that count requests themselves: one call of `otel_obs.instrument` replaces them."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping

from otel_obs.migration.module import PythonModule, argument, keywords, literal
from otel_obs.migration.places import FoundCode

IMPORT = "import otel_obs"
OPTIONS: Mapping[str, str] = {
    "path": "set OTEL_OBS_METRICS_PATH",
    "endpoint": "set OTEL_OBS_METRICS_PATH",
    "buckets": "set OTEL_OBS_BUCKETS",
    "excluded_paths": "set OTEL_OBS_EXCLUDED_URLS",
    "excluded_handlers": "set OTEL_OBS_EXCLUDED_URLS",
    "skip_paths": "set OTEL_OBS_EXCLUDED_URLS",
    "defaults_prefix": "set OTEL_OBS_NAMES",
    "prefix": "set OTEL_OBS_NAMES",
    "metric_namespace": "set OTEL_OBS_NAMESPACE",
    "should_respect_env_var": "set OTEL_OBS_ENABLED=false where it is to be off",
    "static_labels": "set OTEL_OBS_RESOURCE_LABELS",
    "custom_labels": "use extra_labels= of otel_obs.instrument",
    "labels": "use extra_labels= of otel_obs.instrument",
    "default_labels": "use extra_labels= of otel_obs.instrument",
}
FLASK_PAGE = "docs/how-to/from-flask-exporter.md keeps the names of its metrics"
FASTAPI_PAGE = "docs/how-to/from-fastapi-instrumentator.md keeps the names of its labels"
STARLETTE_PAGE = "docs/how-to/from-starlette-exporter.md keeps the names of its metrics"
PORT = (
    "set OTEL_EXPORTER_PROMETHEUS_PORT for a page on a port of its own, "
    "and OTEL_EXPORTER_PROMETHEUS_HOST where other machines ask"
)
BY_HAND = "not changed, as it is part of more: take it out, and call otel_obs.instrument(app)"


def find_exporters(module: PythonModule, foreign: Collection[str]) -> Iterator[FoundCode]:
    """Every use of these libraries; *foreign* are names that other files use from this one."""
    for call in module.calls:
        package, name = module.peer(call.func)
        if package == "prometheus_flask_exporter":
            yield from _flask(module, call, name, foreign)
        elif package == "prometheus_fastapi_instrumentator" and name == "Instrumentator":
            yield from _instrumentator(module, call, foreign)
        yield from _starlette(module, call)


def instrumented(module: PythonModule, app: ast.expr) -> str:
    """The call that measures an application."""
    return f"otel_obs.instrument({module.text(app)})"


def _with_options(remedy: str, call: ast.Call, page: str) -> str:
    said = [f"for {name}=, {OPTIONS[name]}" for name in keywords(call) if name in OPTIONS]
    return "; ".join([remedy, *dict.fromkeys(said), page])


def _flask(module: PythonModule, call: ast.Call, name: str, foreign: Collection[str]) -> Iterator[FoundCode]:
    if name in ("mark_process_dead_on_child_exit", "start_http_server_when_ready"):
        alone = module.alone(call)
        what = f"{name} of prometheus_flask_exporter"
        remedy = "nothing is left to do for a worker that dies" if name.startswith("mark") else PORT
        yield FoundCode(call, what, remedy, removed=(alone,) if alone else ())
        return
    if not (name.endswith("PrometheusMetrics") or name == "for_app_factory"):
        return
    options = keywords(call)
    if literal(options.get("export_defaults")) is False and isinstance(options.get("path"), ast.Constant):
        return  # This one measures only functions that are decorated with it, and no requests.
    given = argument(call, 0, "app") if name != "for_app_factory" else None
    app = None if given is None or isinstance(given, ast.Constant) else given
    what = f"{name} of prometheus_flask_exporter"
    alone, assigned = module.alone(call), module.assigned(call)
    if alone is not None and app is not None:
        remedy = _with_options("otel_obs.instrument measures the application", call, FLASK_PAGE)
        yield FoundCode(
            call, what, remedy, replaced=((alone, instrumented(module, app)),), imported=(IMPORT,)
        )
    elif assigned is None or "**" in options:
        yield FoundCode(call, what, BY_HAND)
    else:
        yield from _flask_variable(module, call, what, app, assigned, foreign)


def _flask_variable(
    module: PythonModule,
    call: ast.Call,
    what: str,
    app: ast.expr | None,
    assigned: tuple[ast.stmt, str],
    foreign: Collection[str],
) -> Iterator[FoundCode]:
    statement, variable = assigned
    kept = [load for load in module.loads[variable] if not _is_replaceable(module, load)]
    stays = bool(kept) or variable in foreign
    remedy = _with_options("otel_obs.instrument measures the application", call, FLASK_PAGE)
    if stays and (app is None or "RESTful" in what or "Connexion" in what or len(call.args) > 1):
        where = f"line {kept[0].lineno} uses it" if kept else "other files use it"
        yield FoundCode(call, what, f"not changed, as {where}: count there with otel_obs; {remedy}")
        return
    for load in module.loads[variable]:
        if load not in kept:
            yield from _flask_use(module, load)
    if not stays:
        replaced = ((statement, instrumented(module, app)),) if app is not None else ()
        removed = (statement,) if app is None else ()
        yield FoundCode(call, what, remedy, removed, replaced, (IMPORT,) if replaced else ())
        return
    assert app is not None
    options = "".join(
        f", {name}={module.text(value)}"
        for name, value in keywords(call).items()
        if name in ("registry", "static_labels")
    )
    lines = (
        f"{variable} = PrometheusMetrics({module.text(app)}, path=None, export_defaults=False{options})",
        instrumented(module, app),
    )
    indent = "\n" + " " * statement.col_offset
    yield FoundCode(
        call,
        what,
        f"it goes on counting what is decorated with it, and no requests; {remedy}",
        replaced=((statement, indent.join(lines)),),
        imported=(IMPORT, "from prometheus_flask_exporter import PrometheusMetrics"),
    )


def _used(module: PythonModule, load: ast.Name) -> tuple[str, ast.Call | None]:
    """The method that is called on a name, and the call."""
    attribute = module.parents[load]
    call = module.parents.get(attribute)
    is_call = isinstance(attribute, ast.Attribute) and isinstance(call, ast.Call) and call.func is attribute
    return (attribute.attr, call) if is_call else ("", None)  # type: ignore[return-value, attr-defined]


def _is_replaceable(module: PythonModule, load: ast.Name) -> bool:
    method, call = _used(module, load)
    if call is None:
        return False
    if method in ("init_app", "start_http_server"):
        return module.alone(call) is not None and (method != "init_app" or len(call.args) == 1)
    return method == "do_not_track" and _is_decorator(module, call)


def _is_decorator(module: PythonModule, call: ast.Call) -> bool:
    return call in getattr(module.parents[call], "decorator_list", ())


def _flask_use(module: PythonModule, load: ast.Name) -> Iterator[FoundCode]:
    method, call = _used(module, load)
    assert call is not None
    what, alone = f"{method} of prometheus_flask_exporter", module.alone(call)
    if alone is None:
        remedy = "set OTEL_OBS_EXCLUDED_URLS to the path of this view"
        yield FoundCode(call, what, remedy, replaced=((call, ""),))
    elif method == "init_app":
        text = instrumented(module, call.args[0])
        remedy = "otel_obs.instrument measures the application"
        yield FoundCode(call, what, remedy, replaced=((alone, text),), imported=(IMPORT,))
    else:
        yield FoundCode(call, what, PORT, removed=(alone,))


def _chain(module: PythonModule, node: ast.expr) -> list[tuple[str, ast.Call]]:
    """The chain of methods that are called on an expression, as `made.instrument(app).expose(app)`."""
    found: list[tuple[str, ast.Call]] = []
    while True:
        attribute = module.parents.get(node)
        call = module.parents.get(attribute) if isinstance(attribute, ast.Attribute) else None
        if not isinstance(attribute, ast.Attribute) or not isinstance(call, ast.Call):
            return found
        if call.func is not attribute:
            return found
        found.append((attribute.attr, call))
        node = call


def _instrumentator(module: PythonModule, made: ast.Call, foreign: Collection[str]) -> Iterator[FoundCode]:
    what = "Instrumentator of prometheus-fastapi-instrumentator"
    chains: list[tuple[ast.expr, list[tuple[str, ast.Call]]]] = [(made, _chain(module, made))]
    last = chains[0][1][-1][1] if chains[0][1] else made
    assigned = module.assigned(last)
    if assigned is not None:
        chains += [(load, _chain(module, load)) for load in module.loads[assigned[1]]]
    elif module.alone(last) is None:
        yield FoundCode(made, what, BY_HAND)
        return
    steps = [step for _, chain in chains for step in chain]
    why = _why_not(module, steps)
    if assigned is not None and not why:
        is_whole = all(chain and module.alone(chain[-1][1]) for _, chain in chains[1:])
        why = "" if is_whole and assigned[1] not in foreign else "it is used in other ways too"
    if why:
        yield FoundCode(made, what, f"not changed, as {why}; {FASTAPI_PAGE}")
        return
    for first, chain in chains:
        statement = module.statement(first)
        apps = [argument(call, 0, "app") for name, call in chain if name == "instrument"]
        remedy = "otel_obs.instrument measures the application and serves /metrics"
        for call in [made, *(call for _, call in chain)] if first is made else [call for _, call in chain]:
            remedy = _with_options(remedy, call, "").removesuffix("; ")
        text = instrumented(module, apps[0]) if apps and apps[0] is not None else ""
        yield FoundCode(
            first,
            what,
            f"{remedy}; {FASTAPI_PAGE}",
            removed=() if text else (statement,),
            replaced=((statement, text),) if text else (),
            imported=(IMPORT,) if text else (),
        )


def _why_not(module: PythonModule, steps: list[tuple[str, ast.Call]]) -> str:
    """Why an instrumentator cannot be replaced."""
    names = [name for name, _ in steps]
    if "instrument" not in names:
        return "the application that it measures is not in this file: call otel_obs.instrument(app) there"
    for name, call in steps:
        if name not in ("instrument", "expose", "add"):
            return f".{name}() is not known here"
        if name == "expose" and {"dependencies", "**"} & set(keywords(call)):
            return "its page is protected: set OTEL_OBS_METRICS_TOKEN, and take it out by hand"
        if name == "instrument" and argument(call, 0, "app") is None:
            return "its application is not named"
        if name == "add" and not all(_is_builtin(module, each) for each in call.args):
            return f"line {call.lineno} adds a function of your own: count there with otel_obs"
    return ""


def _is_builtin(module: PythonModule, added: ast.expr) -> bool:
    name = module.name_of(added.func) if isinstance(added, ast.Call) else ""
    return name.startswith("prometheus_fastapi_instrumentator.metrics.")


def _starlette(module: PythonModule, call: ast.Call) -> Iterator[FoundCode]:
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    names = {each: module.peer(each) for each in [*call.args, *keywords(call).values()]}
    for node, (package, name) in names.items():
        if package != "starlette_exporter" or name not in ("PrometheusMiddleware", "handle_metrics"):
            continue
        what, alone = f"{name} of starlette_exporter", module.alone(call)
        if alone is None or method not in ("add_middleware", "add_route") or "**" in keywords(call):
            yield FoundCode(node, what, BY_HAND)
        elif method == "add_middleware":
            assert isinstance(call.func, ast.Attribute)
            text = instrumented(module, call.func.value)
            remedy = _with_options("otel_obs.instrument measures the application", call, STARLETTE_PAGE)
            yield FoundCode(call, what, remedy, replaced=((alone, text),), imported=(IMPORT,))
        else:
            path = literal(argument(call, 0, "path"))
            remedy = "otel_obs serves /metrics itself"
            if path != "/metrics":
                remedy += f"; set OTEL_OBS_METRICS_PATH={path}"
            yield FoundCode(call, what, remedy, removed=(alone,))
