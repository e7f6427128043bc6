"""FastAPI and Starlette: every way in, every way out, counted once under its path format."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from fastapi import (
    APIRouter,
    BackgroundTasks,
    FastAPI,
    HTTPException,
    Request,
    Response,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.responses import FileResponse, RedirectResponse, StreamingResponse
from flask import Flask
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from starlette import responses
from starlette.applications import Starlette
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles

import otel_obs.fastapi as measured_fastapi
import otel_obs.flask as measured_flask
from otel_obs.http.asgi import AsgiMiddleware
from otel_obs.http.exclusion import Exclusion
from otel_obs.http.profiles import SemconvProfile
from otel_obs.serving.scrape import Scrape
from tests.http import drive
from tests.http.recorded import Recorded

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would have us install another client
    from fastapi.testclient import TestClient
    from starlette.middleware.wsgi import WSGIMiddleware

UNMATCHED = "__unmatched__"
ITEM = "/items/{number}"


@pytest.fixture(autouse=True)
def _no_patch_stays() -> Iterator[None]:
    original = Starlette.__call__, FastAPI.__call__, FastAPI.__init__
    yield
    measured_fastapi.uninstall()
    measured_flask.uninstall()
    assert (Starlette.__call__, FastAPI.__call__, FastAPI.__init__) == original


class Ours:
    def collect(self, accept: str, names: Sequence[str]) -> tuple[str, Iterator[bytes]]:
        return "text/plain; version=0.0.4", iter([b"ours 1\n"])


def make_app(**options: Any) -> FastAPI:
    app = FastAPI(**options)

    @app.get("/items/{number}")
    async def item(number: int) -> int:
        return number

    return app


def measure(app: Starlette, **options: Any) -> Recorded:
    recorded = Recorded(**options)
    assert measured_fastapi.instrument_app(app, recorded.observer, Scrape(Ours()))
    return recorded


def client(app: Any) -> TestClient:
    return TestClient(app, raise_server_exceptions=False, follow_redirects=False)


def test_the_path_format_is_the_endpoint() -> None:
    app = make_app()
    recorded = measure(app)
    for number in range(3):
        assert client(app).get(f"/items/{number}?q={number}").json() == number
    assert recorded.requests() == {("GET", ITEM, "200"): 3}
    assert recorded.durations()["GET", ITEM].count == 3
    assert (recorded.in_progress(), recorded.first_bytes(), recorded.errors()) == (0, {}, {})


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/nope", ("GET", UNMATCHED, "404")),
        ("GET", "/items/x", ("GET", ITEM, "422")),
        ("DELETE", "/items/1", ("DELETE", ITEM, "405")),
        ("OPTIONS", "/items/1", ("OPTIONS", ITEM, "405")),
        ("BREW", "/items/1", ("_OTHER", ITEM, "405")),
        ("HEAD", "/page", ("HEAD", "/page", "200")),
        ("GET", "/slash", ("GET", UNMATCHED, "307")),
        ("GET", "/moved", ("GET", "/moved", "307")),
        ("GET", "/refused/418", ("GET", "/refused/{code}", "418")),
        ("GET", "/refused/404", ("GET", "/refused/{code}", "404")),
        ("GET", "/handled", ("GET", "/handled", "409")),
        ("GET", "/docs", ("GET", "/docs", "200")),
    ],
)
def test_statuses(method: str, path: str, expected: tuple[str, str, str]) -> None:
    app = make_app()

    @app.api_route("/page", methods=["GET", "HEAD"])
    def page() -> str:
        return "page"

    @app.get("/slash/")
    def slash() -> None: ...

    @app.get("/moved")
    def moved() -> Response:
        return RedirectResponse("/items/1")

    @app.get("/refused/{code}")
    def refused(code: int) -> None:
        raise HTTPException(code)

    @app.get("/handled")
    def handled() -> None:
        raise LookupError

    app.add_exception_handler(LookupError, lambda request, error: PlainTextResponse("known", 409))
    recorded = measure(app)
    client(app).request(method, path)
    assert recorded.requests() == {expected: 1}
    assert (recorded.in_progress(), recorded.errors()) == (0, {})


def test_an_unhandled_exception_is_a_500_and_an_error() -> None:
    app = make_app()

    @app.get("/broken/{name}")
    def broken(name: str) -> None:
        raise ZeroDivisionError

    recorded = measure(app)
    assert client(app).get("/broken/x").status_code == 500
    assert recorded.requests() == {("GET", "/broken/{name}", "500"): 1}
    assert (recorded.errors(), recorded.in_progress()) == ({"ZeroDivisionError": 1}, 0)


def test_a_handler_of_every_exception_may_change_the_status() -> None:
    app = make_app()

    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError

    app.add_exception_handler(Exception, lambda request, error: PlainTextResponse("busy", 503))
    recorded = measure(app)
    assert client(app).get("/broken").status_code == 503
    assert recorded.requests() == {("GET", "/broken", "503"): 1}
    assert recorded.errors() == {"ZeroDivisionError": 1}


def test_a_stream_lasts_until_its_last_byte_and_background_tasks_do_not_count() -> None:
    app, seen = make_app(), []
    recorded = Recorded()

    @app.get("/stream")
    async def stream(tasks: BackgroundTasks) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"data: a\n\n"
            await asyncio.sleep(0.02)
            yield b"data: b\n\n"

        async def later() -> None:
            seen.append((recorded.in_progress(), recorded.requests()))
            await asyncio.sleep(0.2)

        tasks.add_task(later)
        return StreamingResponse(parts(), media_type="text/event-stream")

    measured_fastapi.instrument_app(app, recorded.observer)
    assert client(app).get("/stream").text == "data: a\n\ndata: b\n\n"
    assert seen == [(0, {("GET", "/stream", "200"): 1})]
    first, whole = recorded.first_bytes()["/stream"], recorded.durations()["GET", "/stream"]
    assert first.sum + 0.02 <= whole.sum < 0.2


@pytest.mark.parametrize(
    ("headers", "status", "size"), [({}, "200", 100_000), ({"Range": "bytes=10-19"}, "206", 10)]
)
def test_files_and_ranges(headers: dict[str, str], status: str, size: int, tmp_path: Any) -> None:
    if "range" in {name.lower() for name in headers} and not hasattr(responses, "MalformedRangeHeader"):
        pytest.skip("this Starlette knows no ranges")
    app, path = make_app(), tmp_path / "file"
    path.write_bytes(b"x" * 100_000)

    @app.get("/file")
    def file() -> Response:
        return FileResponse(path)

    recorded = measure(app, sizes=True)
    assert len(client(app).get("/file", headers=headers).content) == size
    assert recorded.requests() == {("GET", "/file", status): 1}
    assert [value.sum for _, value in recorded.of("response_size")] == [size]


def test_included_routers_have_their_prefixes() -> None:
    app, outer, inner = make_app(), APIRouter(), APIRouter()

    @inner.get("/x/{y}")
    def both(y: int) -> int:
        return y

    inner.add_route("/plain", lambda request: PlainTextResponse("plain"))
    outer.include_router(inner, prefix="/in")
    app.include_router(outer, prefix="/out")
    app.include_router(inner, prefix="/again")
    recorded = measure(app)
    for path in ("/out/in/x/1", "/again/x/1", "/out/in/plain", "/again/plain", "/items/1", "/out/in/nope"):
        client(app).get(path)
    assert recorded.requests() == {
        ("GET", "/out/in/x/{y}", "200"): 1,
        ("GET", "/again/x/{y}", "200"): 1,
        ("GET", "/out/in/plain", "200"): 1,
        ("GET", "/again/plain", "200"): 1,
        ("GET", ITEM, "200"): 1,
        ("GET", UNMATCHED, "404"): 1,
    }


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def other(request: Request) -> Response:
    return PlainTextResponse("other")


async def opaque(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("opaque")(scope, receive, send)


def test_mounts_are_joined_as_templates(tmp_path: Any) -> None:
    (tmp_path / "a.txt").write_text("a")
    app = make_app()
    app.mount("/sub", make_app())
    app.mount("/tenants/{tenant}", make_app())
    app.mount("/deep", Starlette(routes=[Mount("/{a:int}", routes=[Route("/b/{c}", hello)])]))
    app.mount("/zipped", GZipMiddleware(make_app()))
    app.mount("/opaque", opaque)
    app.mount("/static", StaticFiles(directory=tmp_path))
    recorded = measure(app)
    paths = {
        "/sub/items/1": "/sub/items/{number}",
        "/sub/docs": "/sub/docs",
        "/tenants/acme/items/1": "/tenants/{tenant}/items/{number}",
        "/tenants/ajax/items/1": "/tenants/{tenant}/items/{number}",
        "/deep/7/b/x": "/deep/{a}/b/{c}",
        "/zipped/items/1": "/zipped/items/{number}",
        "/opaque/any/thing": "/opaque/{path}",
        "/static/a.txt": "/static/{path}",
        "/items/1": ITEM,
    }
    expected: dict[tuple[str, str, str], int] = {}
    for path, endpoint in paths.items():
        assert client(app).get(path).status_code == 200
        expected["GET", endpoint, "200"] = expected.get(("GET", endpoint, "200"), 0) + 1
    assert recorded.requests() == expected
    for path in ("/sub/nope", "/tenants/acme/nope", "/deep/7/nope", "/zipped/nope"):
        client(app).get(path)
    assert recorded.requests() == {**expected, ("GET", UNMATCHED, "404"): 4}


def test_a_mount_at_the_root() -> None:
    app = Starlette(routes=[Route("/own", hello), Mount("/", app=make_app())])
    recorded = measure(app)
    for path in ("/own", "/items/1", "/nope"):
        client(app).get(path)
    assert recorded.requests() == {
        ("GET", "/own", "200"): 1,
        ("GET", ITEM, "200"): 1,
        ("GET", UNMATCHED, "404"): 1,
    }


def test_hosts_are_no_labels() -> None:
    inner = Router([Route("/a/{b}", hello)])
    app = Starlette(routes=[Host("{name}.example.com", inner), Route("/c", hello)])
    recorded = measure(app)
    for number in range(3):
        client(app).get("/a/x", headers={"Host": f"n{number}.example.com"})
    client(app).get("/nope", headers={"Host": "n.example.com"})
    client(app).get("/c")
    assert recorded.requests() == {
        ("GET", "/a/{b}", "200"): 3,
        ("GET", UNMATCHED, "404"): 1,
        ("GET", "/c", "200"): 1,
    }


def test_one_function_may_serve_several_routes() -> None:
    app = Starlette(routes=[Route("/a/{x}", hello), Route("/b/{x}", hello), Route("/c", other)])
    recorded = measure(app)
    for path in ("/a/1", "/b/1", "/b/2", "/c"):
        client(app).get(path)
    assert recorded.requests() == {
        ("GET", "/a/{x}", "200"): 1,
        ("GET", "/b/{x}", "200"): 2,
        ("GET", "/c", "200"): 1,
    }


@pytest.mark.filterwarnings("ignore:The `root_path` parameter is deprecated")
@pytest.mark.parametrize(("naming", "expected"), [(None, ITEM), (SemconvProfile(), "/api" + ITEM)])
@pytest.mark.parametrize("given", ["application", "server"])
def test_a_root_path_is_part_of_the_route_in_the_conventions_only(
    naming: Any, expected: str, given: str
) -> None:
    app = make_app(root_path="/api" if given == "application" else "")
    recorded = measure(app, naming=naming)
    TestClient(app, root_path="/api" if given == "server" else "").get("/items/1")
    (labels, _), *others = recorded.of("duration")
    assert labels.get("endpoint") or labels.get("http.route") == expected
    assert others == []


def test_wsgi_inside_asgi_is_counted_once_under_both_routes() -> None:
    inner, recorded = Flask(__name__), Recorded()
    inner.add_url_rule("/items/<int:number>", "item", lambda number: "item")
    inner.add_url_rule("/broken", "broken", lambda: 1 / 0)  # type: ignore[arg-type]
    app = make_app()
    app.mount("/wsgi/{tenant}", WSGIMiddleware(inner))
    measured_flask.install(recorded.observer)
    measured_fastapi.install(recorded.observer)
    for path in (
        "/wsgi/acme/items/1",
        "/wsgi/ajax/items/2",
        "/wsgi/acme/broken",
        "/wsgi/acme/nope",
        "/items/1",
    ):
        client(app).get(path)
    assert recorded.requests() == {
        ("GET", "/wsgi/{tenant}/items/<int:number>", "200"): 2,
        ("GET", "/wsgi/{tenant}/broken", "500"): 1,
        ("GET", UNMATCHED, "404"): 1,
        ("GET", ITEM, "200"): 1,
    }
    assert (recorded.errors(), recorded.in_progress()) == ({"ZeroDivisionError": 1}, 0)
    inner.test_client().get("/items/1")
    assert recorded.requests()["GET", "/items/<int:number>", "200"] == 1


def test_a_websocket_is_no_request() -> None:
    app = make_app()

    @app.websocket("/ws/{room}")
    async def talk(socket: WebSocket, room: str) -> None:
        await socket.accept()
        while True:
            await socket.send_text(await socket.receive_text())

    recorded = measure(app)
    with suppress(WebSocketDisconnect), TestClient(app).websocket_connect("/ws/7") as socket:
        for _ in range(3):
            socket.send_text("hi")
            assert socket.receive_text() == "hi"
        assert recorded.of("websocket_open") == [({"endpoint": "/ws/{room}"}, 1)]
        socket.close(1001)
    assert recorded.of("websocket_connections") == [({"endpoint": "/ws/{room}", "close_code": "1001"}, 1)]
    assert recorded.of("websocket_open") == [({"endpoint": "/ws/{room}"}, 0)]
    assert sorted((labels["direction"], value) for labels, value in recorded.of("websocket_messages")) == [
        ("in", 3),
        ("out", 3),
    ]
    assert (recorded.requests(), recorded.errors()) == ({}, {})


def test_lifespan_runs_and_is_not_counted() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        seen.append("up")
        yield
        seen.append("down")

    app = make_app(lifespan=lifespan)
    recorded = measure(app)
    with TestClient(app):
        pass
    assert seen == ["up", "down"]
    assert list(recorded.series()) == []


def test_every_layer_at_once_counts_once() -> None:
    app, recorded = make_app(), Recorded()
    FastAPIInstrumentor.instrument_app(app, meter_provider=MeterProvider([InMemoryMetricReader()]))
    app.add_middleware(BaseHTTPMiddleware, dispatch=lambda request, call_next: call_next(request))
    app.mount("/sub", make_app())
    measured_fastapi.install(recorded.observer)
    assert measured_fastapi.instrument_app(app, recorded.observer)
    assert not measured_fastapi.instrument_app(app, recorded.observer)
    drive.asgi(AsgiMiddleware(app, recorded.observer), "/items/1")
    client(app).get("/sub/items/1")
    assert recorded.requests() == {("GET", ITEM, "200"): 1, ("GET", "/sub" + ITEM, "200"): 1}
    assert recorded.in_progress() == 0


def test_it_is_never_too_late() -> None:
    app, recorded = make_app(), Recorded()
    client(app).get("/items/1")
    measured_fastapi.install(recorded.observer)
    client(app).get("/items/1")
    client(make_app()).get("/items/1")
    assert recorded.requests() == {("GET", ITEM, "200"): 2}
    measured_fastapi.uninstall()
    client(app).get("/items/1")
    assert recorded.requests() == {("GET", ITEM, "200"): 2}


@pytest.mark.skipif(not hasattr(FastAPI(), "_telemetry"), reason="this FastAPI has no telemetry of its own")
@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("way", ["install", "instrument_app"])
def test_fastapis_own_metrics_are_off_where_ours_are_on(way: str, is_late: bool) -> None:
    recorded, reader = Recorded(), InMemoryMetricReader()
    elsewhere = make_app(telemetry={"meter_provider": MeterProvider([reader])})
    app, inner = make_app(), make_app()
    app.mount("/sub", inner)
    if is_late:
        client(app).get("/items/1")
    if way == "install":
        measured_fastapi.install(recorded.observer)
        made_after = make_app()
        assert made_after._telemetry["metrics"] is False
    for each in (app, elsewhere):
        if way == "instrument_app":
            measured_fastapi.instrument_app(each, recorded.observer)
        client(each).get("/items/1")
    client(app).get("/sub/items/1")
    assert [each._telemetry["metrics"] for each in (app, inner, elsewhere)] == [False, False, True]
    assert reader.get_metrics_data() is not None
    measured_fastapi.uninstall()
    assert [each._telemetry["metrics"] for each in (app, inner, elsewhere)] == [True, True, True]


def test_metrics_are_served_without_a_redirect_and_not_counted() -> None:
    path = "/metrics"
    app = make_app()
    app.add_route("/{any:path}", hello)  # a catch-all is not about /metrics
    recorded = measure(app)
    answer = client(app).get(path)
    assert (answer.status_code, answer.text) == (200, "ours 1\n")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert client(app).post(path).status_code == 405
    assert recorded.requests() == {}


@pytest.mark.parametrize("kind", ["route", "mount", "included"])
def test_an_application_keeps_its_own_metrics_and_they_are_not_counted(kind: str) -> None:
    app = make_app()
    recorded = measure(app)
    assert client(app).get("/metrics").text == "ours 1\n"
    if kind == "route":
        app.add_route("/metrics", hello)
    elif kind == "mount":
        app.mount("/metrics", Starlette(routes=[Route("/", hello)]))
    else:
        router = APIRouter()
        router.add_api_route("/metrics", lambda: PlainTextResponse("hello"))
        app.include_router(router)
    answer = TestClient(app).get("/metrics")
    assert answer.text == "hello"
    assert recorded.requests() == {}


def test_exclusions_of_an_application_go_before_the_observers() -> None:
    app, recorded = make_app(), Recorded(exclude=Exclusion(["items"]))
    measured_fastapi.instrument_app(app, recorded.observer, exclude=Exclusion(["health"]))
    client(app).get("/health")
    client(app).get("/items/1")
    assert recorded.requests() == {("GET", ITEM, "200"): 1}


def test_an_exception_raised_by_middleware_is_a_500() -> None:
    app = make_app()

    async def broken(request: Any, call_next: Any) -> Any:
        await call_next(request)
        raise ZeroDivisionError

    app.add_middleware(BaseHTTPMiddleware, dispatch=broken)
    recorded = measure(app)
    assert client(app).get("/items/1").status_code == 500
    assert recorded.requests() == {("GET", ITEM, "500"): 1}
    assert recorded.errors() == {"ZeroDivisionError": 1}


def test_a_plain_starlette_application() -> None:
    async def refused(request: Request) -> Response:
        raise StarletteHTTPException(403)

    app = Starlette(routes=[Route("/a/{b:int}", hello), Route("/refused", refused)])
    recorded = measure(app)
    for path in ("/a/1", "/refused", "/nope"):
        client(app).get(path)
    assert recorded.requests() == {
        ("GET", "/a/{b}", "200"): 1,
        ("GET", "/refused", "403"): 1,
        ("GET", UNMATCHED, "404"): 1,
    }
