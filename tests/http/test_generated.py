"""Generated route tables, mounts, layers and requests: each handler says by which template it was reached."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from fastapi import APIRouter, FastAPI
from flask import Blueprint, Flask, Response, request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import otel_obs.fastapi as measured_fastapi
import otel_obs.flask as measured_flask
from tests.http import drive
from tests.http.recorded import Recorded

TEMPLATE = "x-template"
EXAMPLES = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
RECORDED = Recorded()
WORDS = st.sampled_from(["a", "b", "items", "v1", "x-y", "ü", "a.b"])
METHODS = st.lists(st.sampled_from(["GET", "POST", "PUT"]), min_size=1, max_size=2, unique=True)
ASKED = st.lists(
    st.tuples(
        st.integers(0, 100),
        st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "BREW"]),
        st.sampled_from(["", "", "/", "/nope"]),
    ),
    min_size=4,
    max_size=4,
)
"""Which of the paths, with which method, and what is behind it."""


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    measured_fastapi.uninstall()
    measured_flask.uninstall()


class Leaf(NamedTuple):
    """A route: literal segments are words, the others are parameters."""

    segments: tuple[str, ...]
    methods: tuple[str, ...]


class Branch(NamedTuple):
    """What stands below a prefix: a mount, or included routes."""

    kind: str
    segments: tuple[str, ...]
    children: tuple[Any, ...]


def leaves() -> Any:
    segments = st.lists(WORDS | st.just("{}"), min_size=1, max_size=3).map(tuple)
    return st.builds(Leaf, segments, METHODS.map(tuple))


def trees(kinds: list[str]) -> Any:
    prefix = st.lists(WORDS | st.just("{}"), min_size=1, max_size=2).map(tuple)

    def branches(children: Any) -> Any:
        some = st.lists(children, min_size=1, max_size=3).map(tuple)
        return st.builds(Branch, st.sampled_from(kinds), prefix, some)

    return st.lists(st.recursive(leaves(), branches, max_leaves=5), min_size=1, max_size=4)


def path_of(segments: tuple[str, ...], depth: int, form: str = "{{p{}}}") -> str:
    """A template: parameters have names that tell where they stand."""
    named = [form.format(f"{depth}_{place}") if each == "{}" else each for place, each in enumerate(segments)]
    return "/" + "/".join(named)


def asgi_children(nodes: Any, before: str, depth: int = 0) -> list[Any]:
    """Starlette's routes; each answers with the template that leads to it."""
    made: list[Any] = []
    for node in nodes:
        path = path_of(node.segments, depth)
        if isinstance(node, Leaf):
            made.append(Route(path, answering(before + path), methods=list(node.methods)))
            continue
        inside = asgi_children(node.children, before + path, depth + 1)
        if node.kind == "routes":
            made.append(Mount(path, routes=inside))
        elif node.kind == "router":
            made.append(Mount(path, app=Router(inside)))
        elif node.kind == "copied":
            made.append(Mount(path, app=Copying(Starlette(routes=inside))))
        elif node.kind == "fastapi":
            app = FastAPI(openapi_url=None)
            app.router.routes.extend(inside)
            made.append(Mount(path, app=app))
        else:
            made.append(Mount(path, app=Starlette(routes=inside)))
    return made


def answering(template: str) -> Any:
    async def answer(request: Request) -> PlainTextResponse:
        # A header is Latin-1.
        return PlainTextResponse("ok", headers={TEMPLATE: template.encode().decode("latin-1")})

    return answer


class Copying:
    """Hands on a copy of the scope."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(dict(scope), receive, send)


class Dispatching(BaseHTTPMiddleware):
    """Starlette's own way to write middleware."""

    async def dispatch(self, request: Request, call_next: Any) -> Any:
        return await call_next(request)


class Anew:
    """Makes a request of its own of the scope."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope = Request(scope | {"state": {}}).scope
        await self.app(scope, receive, send)


LAYERS = st.lists(st.sampled_from([Copying, Dispatching, Anew, GZipMiddleware]), max_size=3)


def all_paths(nodes: Any, before: str = "") -> Iterator[str]:
    for node in nodes:
        path = before + "/" + "/".join("7" if each == "{}" else each for each in node.segments)
        if isinstance(node, Leaf):
            yield path
        else:
            yield path
            yield from all_paths(node.children, path)


def ask_asgi(app: Any, method: str, path: str, root_path: str) -> tuple[int, str | None]:
    async def run() -> drive.Client:
        client = drive.Client(drive.END)
        scope = drive.scope(root_path + path, method, root_path=root_path)
        scope["raw_path"] = (root_path + path).encode()
        await app(scope, client.receive, client.send)
        return client

    client = asyncio.run(run())
    return client.status, client.headers.get(TEMPLATE)


@EXAMPLES
@given(
    tree=trees(["routes", "router", "starlette", "copied", "fastapi"]),
    layers=LAYERS,
    root_path=st.sampled_from(["", "/proxy"]),
    asked=ASKED,
)
def test_starlette(tree: Any, layers: list[Any], root_path: str, asked: Any) -> None:
    routes = asgi_children(tree, "")
    app = Starlette(routes=routes, middleware=[Middleware(layer) for layer in layers])
    check_asgi(app, sorted(all_paths(tree)), root_path, asked)


@EXAMPLES
@given(tree=trees(["included", "routes"]), layers=LAYERS, asked=ASKED)
def test_fastapi(tree: Any, layers: list[Any], asked: Any) -> None:
    app = FastAPI(openapi_url=None, middleware=[Middleware(layer) for layer in layers])
    fill(app, tree, "", "", 0)
    check_asgi(app, sorted(all_paths(tree)), "", asked)


def fill(owner: Any, nodes: Any, before: str, known: str, depth: int) -> None:
    """Give a FastAPI application or a router its routes; *known* is what the router bears already."""
    for node in nodes:
        path = path_of(node.segments, depth)
        if isinstance(node, Leaf):
            owner.add_api_route(path, fastapi_answering(before + path), methods=list(node.methods))
        elif node.kind == "included":
            halves = (path, "") if depth % 2 else ("", path)  # a prefix of the router, or of the inclusion
            router = APIRouter(prefix=halves[0])
            fill(router, node.children, before + path, "", depth + 1)
            owner.include_router(router, prefix=halves[1])
        else:
            owner.mount(path, Router(asgi_children(node.children, before + path, depth + 1)))


def fastapi_answering(template: str) -> Any:
    async def answer() -> PlainTextResponse:
        return PlainTextResponse("ok", headers={TEMPLATE: template.encode().decode("latin-1")})

    return answer


def check_asgi(app: Any, paths: list[str], root_path: str, asked: Any) -> None:
    measured_fastapi.instrument_app(app, RECORDED.observer)
    for number, method, behind in asked:
        path = paths[number % len(paths)] + behind
        before = RECORDED.requests()
        status, template = ask_asgi(app, method, path, root_path)
        check_one(before, RECORDED.requests(), method, status, template)
    assert RECORDED.in_progress() == 0


def check_one(before: Any, after: Any, method: str, status: int, template: str | None) -> None:
    """One request more, by its template; nothing that matched nowhere bears a template."""
    ((counted_method, endpoint, code),) = [key for key, value in after.items() if value != before.get(key)]
    assert sum(after.values()) == sum(before.values()) + 1
    assert code == str(status)
    if template is not None:
        assert endpoint == template
        assert counted_method == method
    elif status == 405:
        assert "7" not in endpoint  # the path's own
    else:
        assert endpoint == "__unmatched__"


class CopyingEnviron:
    """Hands on a copy of the environ."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(dict(environ), start_response)


def flask_of(nodes: Any) -> Flask:
    app = Flask(__name__)
    count = iter(range(1000))

    def fill_flask(owner: Any, some: Any, depth: int) -> None:
        for node in some:
            path = path_of(node.segments, depth, "<p{}>")
            if isinstance(node, Leaf):
                owner.add_url_rule(path, f"n{next(count)}", flask_answer, methods=list(node.methods))
            else:
                blueprint = Blueprint(f"b{next(count)}", __name__, url_prefix=path)
                fill_flask(blueprint, node.children, depth + 1)
                owner.register_blueprint(blueprint)

    fill_flask(app, nodes, 0)
    return app


def flask_answer(**_: Any) -> Response:
    rule = request.url_rule
    assert rule is not None
    return Response("ok", headers={TEMPLATE: rule.rule.encode().decode("latin-1")})


@EXAMPLES
@given(
    tree=trees(["blueprint"]),
    mount=st.sampled_from(["", "/api", "/api/v2"]),
    layers=st.lists(st.just(CopyingEnviron), max_size=2),
    outside=st.booleans(),
    asked=ASKED,
)
def test_flask(tree: Any, mount: str, layers: list[Any], outside: bool, asked: Any) -> None:
    app = flask_of(tree)
    for layer in layers if outside else ():
        app.wsgi_app = layer(app.wsgi_app)  # type: ignore[method-assign]
    measured_flask.instrument_app(app, RECORDED.observer)
    served: Any = app
    for layer in () if outside else layers:
        served = layer(served)
    if mount:
        served = DispatcherMiddleware(Flask("root"), {mount: served})
    paths = sorted(all_paths(tree))
    for number, method, behind in asked:
        path = mount + paths[number % len(paths)] + behind
        before = RECORDED.requests()
        answer = drive.wsgi(served, path.encode().decode("latin-1"), method)
        template = answer.headers.get(TEMPLATE)
        template = template and mount + template.encode("latin-1").decode()
        status = int(answer.status[:3])
        if template is not None or (method, status) != ("OPTIONS", 200):  # that is Flask's own, by the rule
            check_one(before, RECORDED.requests(), method, status, template)
    assert RECORDED.in_progress() == 0
