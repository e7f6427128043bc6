"""The semconv profile beside the oracles: clients that leave, and applications within applications."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
from a2wsgi import WSGIMiddleware as A2wsgi
from asgiref.wsgi import WsgiToAsgi
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse
from flask import Flask, Response
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from starlette.requests import Request
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import otel_obs.fastapi as measured_fastapi
import otel_obs.flask as measured_flask
from otel_obs.http.profiles import SemconvProfile
from tests.http import drive, oracles
from tests.http.drive import Client, Message
from tests.http.oracles import Labels, seen_by, seen_by_us
from tests.http.recorded import Recorded

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would have us install another package
    from starlette.middleware.wsgi import WSGIMiddleware

pytestmark = pytest.mark.usefixtures("stable_conventions")

GET = {"http.request.method": "GET", "url.scheme": "http", "network.protocol.version": "1.1"}
ACTIVE = {"http.request.method": "GET", "url.scheme": "http"}
NOTHING: Labels = {}
Asgi = Callable[[Any, Any, Any], Awaitable[None]]


def leaving_app(telemetry: Any) -> FastAPI:
    app = FastAPI(telemetry=telemetry)

    @app.get("/stream/{name}")
    async def stream(name: str) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            while True:
                yield b"x"
                await asyncio.sleep(0)

        return StreamingResponse(parts())

    @app.get("/slow/{name}")
    async def slow(name: str) -> str:
        await asyncio.Event().wait()
        return name

    async def watching(request: Request) -> PlainTextResponse:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return PlainTextResponse("too late")

    app.add_route("/watching/{name}", watching)
    return app


async def leave_when_something_came(app: Asgi) -> None:
    async def look(message: Message) -> None:
        if message.get("body"):
            client.gone.set()

    client = Client(drive.END, send=look)
    await app(drive.scope("/stream/x"), client.receive, client.send)


async def break_when_something_came(app: Asgi) -> None:
    async def broken(message: Message) -> None:
        if message.get("body"):
            raise BrokenPipeError

    client = Client(drive.END, send=broken)
    scope = drive.scope("/stream/x", asgi={"version": "3.0", "spec_version": "2.4"})
    await app(scope, client.receive, client.send)


async def leave_before_an_answer(app: Asgi) -> None:
    client = Client(drive.END, {"type": "http.disconnect"})
    await app(drive.scope("/watching/x"), client.receive, client.send)


async def be_cancelled(app: Asgi) -> None:
    client = Client(drive.END)
    request = asyncio.ensure_future(app(drive.scope("/slow/x"), client.receive, client.send))
    for _ in range(20):
        await asyncio.sleep(0)
    request.cancel()
    await request


STREAM, SLOW, WATCHING = "/stream/{name}", "/slow/{name}", "/watching/{name}"
LEFT: list[tuple[Callable[[Asgi], Awaitable[None]], Labels, Mapping[str, Labels]]] = [
    (
        leave_when_something_came,
        {"http.route": STREAM, "http.response.status_code": 200, "error.type": "ConnectionError"},
        {"contrib": {"error.type": None}},
    ),
    (
        break_when_something_came,
        {
            "http.route": STREAM,
            "http.response.status_code": 200,
            "error.type": "starlette.requests.ClientDisconnect",
        },
        {"contrib": {"error.type": None}},
    ),
    (
        be_cancelled,
        {"http.route": SLOW, "error.type": "asyncio.exceptions.CancelledError"},
        {"contrib": {"error.type": None}},
    ),
    # FastAPI's does not look at what the application received.
    (
        leave_before_an_answer,
        {"http.route": WATCHING, "http.response.status_code": 200, "error.type": "ConnectionError"},
        {"contrib": {"error.type": None}, "fastapi": {"error.type": None}},
    ),
]


def without_none(labels: Labels) -> Labels:
    return {name: value for name, value in labels.items() if value is not None}


def measured_by(oracle: str, build: Callable[[Any], FastAPI]) -> tuple[FastAPI, Callable[[], Any]]:
    """An application that is measured by one of the three, and what that one has seen."""
    if oracle == "ours":
        app, recorded = build({}), Recorded(SemconvProfile())
        measured_fastapi.instrument_app(app, recorded.observer)
        return app, lambda: seen_by_us(recorded)
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    if oracle == "contrib":
        app = build({"metrics": False})
        FastAPIInstrumentor.instrument_app(app, meter_provider=provider)
    else:
        app = build({"meter_provider": provider, "tracing": False, "logs": False})
    return app, lambda: seen_by(reader)


@pytest.mark.parametrize(
    ("leave", "expected", "differences"), LEFT, ids=lambda each: getattr(each, "__name__", "")
)
@pytest.mark.parametrize("oracle", ["ours", "contrib", oracles.FASTAPI])
def test_a_client_that_leaves_fastapi(
    leave: Any, expected: Labels, differences: Mapping[str, Labels], oracle: str
) -> None:
    app, seen = measured_by(oracle, leaving_app)
    with contextlib.suppress(Exception, asyncio.CancelledError):
        asyncio.run(leave(app))
    assert seen() == ([without_none({**GET, **expected, **differences.get(oracle, NOTHING)})], [ACTIVE])


def inner_flask() -> Flask:
    inner = Flask("inner")
    inner.add_url_rule("/items/<int:number>", "item", lambda number: str(number))
    return inner


@pytest.mark.parametrize("bridge", [A2wsgi, WsgiToAsgi, WSGIMiddleware], ids=lambda each: each.__module__)
@pytest.mark.parametrize(("path", "status"), [("/wsgi/items/1", 200), ("/wsgi/nope", 404)])
@pytest.mark.parametrize("oracle", ["ours", "contrib", oracles.FASTAPI])
def test_wsgi_inside_asgi(bridge: Any, path: str, status: int, oracle: str) -> None:
    def build(telemetry: Any) -> FastAPI:
        app = FastAPI(telemetry=telemetry)
        app.mount("/wsgi", bridge(inner_flask()))
        return app

    app, seen = measured_by(oracle, build)
    assert drive.asgi(app, path).status == status
    route = "/wsgi" if oracle == "contrib" else "/wsgi/{path}"
    assert seen() == ([{**GET, "http.route": route, "http.response.status_code": status}], [ACTIVE])


@pytest.mark.parametrize("bridge", [A2wsgi, WsgiToAsgi, WSGIMiddleware], ids=lambda each: each.__module__)
def test_wsgi_inside_asgi_where_both_are_measured(bridge: Any) -> None:
    recorded = Recorded(SemconvProfile())
    measured_flask.install(recorded.observer)
    measured_fastapi.install(recorded.observer)
    app = FastAPI()
    app.mount("/wsgi/{tenant}", bridge(inner_flask()))
    for path in ("/wsgi/acme/items/1", "/wsgi/ajax/items/2", "/wsgi/acme/nope"):
        drive.asgi(app, path)
    assert seen_by_us(recorded).duration == [
        {**GET, "http.route": "/wsgi/{tenant}/items/<int:number>", "http.response.status_code": 200},
        {**GET, "http.response.status_code": 404},
    ]
    assert recorded.in_progress() == 0


def streaming_flask() -> Flask:
    app = Flask("outer")

    def parts() -> Iterator[bytes]:
        yield b"a"
        raise LookupError

    app.add_url_rule("/stream/<name>", "stream", lambda name: Response(iter([b"a", b"b"])))
    app.add_url_rule("/failing/<name>", "failing", lambda name: Response(parts()))
    return app


def leave_flask(app: Any) -> None:
    answer = app(drive.environ("/stream/x"), lambda *_: print)
    next(iter(answer))
    answer.close()


def leave_flask_at_once(app: Any) -> None:
    app(drive.environ("/stream/x"), lambda *_: print).close()


def fail_in_the_stream(app: Any) -> None:
    drive.wsgi(app, "/failing/x")


def test_flask_streams_that_do_not_end_well() -> None:
    """Contrib is done when the application has returned; what becomes of the body it does not see."""
    for act, route, error_type in (
        (leave_flask, "/stream/<name>", "ConnectionError"),
        (leave_flask_at_once, "/stream/<name>", "ConnectionError"),
        (fail_in_the_stream, "/failing/<name>", "LookupError"),
    ):
        app, reader, recorded = streaming_flask(), InMemoryMetricReader(), Recorded(SemconvProfile())
        instrumentor: Any = FlaskInstrumentor()
        instrumentor.instrument_app(app, meter_provider=MeterProvider([reader]))
        measured_flask.instrument_app(app, recorded.observer)
        with contextlib.suppress(LookupError):
            act(app)
        expected = {**GET, "http.route": route, "http.response.status_code": 200}
        assert seen_by(reader) == ([expected], [ACTIVE])
        assert seen_by_us(recorded) == ([{**expected, "error.type": error_type}], [ACTIVE])


@pytest.mark.parametrize("way", ["around", "inside"])
@pytest.mark.parametrize(
    ("path", "status", "route"),
    [
        ("/in/items/1", 200, "/items/<int:number>"),
        ("/in/nope", 404, None),
        ("/stream/x", 200, "/stream/<name>"),
    ],
)
def test_dispatched_applications(way: str, path: str, status: int, route: str | None) -> None:
    """Contrib leaves out where an application is mounted."""

    def build(measure: Callable[[Flask], object]) -> Any:
        outer, inner = streaming_flask(), inner_flask()
        if way == "inside":
            outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/in": inner})  # type: ignore[method-assign]
        measure(outer)
        measure(inner)
        return outer if way == "inside" else DispatcherMiddleware(outer, {"/in": inner})

    reader, recorded = InMemoryMetricReader(), Recorded(SemconvProfile())
    provider = MeterProvider([reader])
    instrumentor: Any = FlaskInstrumentor()
    drive.wsgi(build(lambda app: instrumentor.instrument_app(app, meter_provider=provider)), path)
    measured_flask.install(recorded.observer)
    drive.wsgi(build(lambda app: None), path)
    expected = {**GET, "http.response.status_code": status}
    theirs = expected if route is None else {**expected, "http.route": route}
    prefix = "/in" if path.startswith("/in/") else ""
    ours = expected if route is None else {**expected, "http.route": prefix + route}
    assert seen_by(reader).duration == [theirs]
    assert seen_by_us(recorded).duration == [ours]
