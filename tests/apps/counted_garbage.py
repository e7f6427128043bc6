"""Any application, with a path that says how many objects only the garbage collector could free.

`/measure` has otel_obs measure the application from then on, so that one process tells both numbers.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import FileResponse, StreamingResponse

import otel_obs
from tests.apps import frameworks


def flask() -> Any:
    import flask

    app = flask.Flask("app")

    def boom() -> str:
        raise LookupError

    def stream() -> flask.Response:
        def parts() -> Iterator[bytes]:
            yield b"a"
            yield b"b"

        return flask.Response(parts())

    app.add_url_rule("/items/<int:number>", "item", lambda number: str(number))
    app.add_url_rule("/boom", "boom", boom)
    app.add_url_rule("/gone", "gone", lambda: flask.abort(410))
    app.add_url_rule("/stream", "stream", stream)
    app.add_url_rule("/file", "file", lambda: flask.send_file(__file__))
    app.add_url_rule("/echo", "echo", lambda: flask.request.get_data(), methods=["POST"])
    return app


def fastapi() -> Any:
    app = FastAPI()

    @app.get("/items/{number}")
    async def item(number: int) -> int:
        return number

    @app.get("/boom")
    async def boom() -> None:
        raise LookupError

    @app.get("/gone")
    def gone() -> None:
        raise HTTPException(410)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]))

    @app.get("/file")
    async def file() -> FileResponse:
        return FileResponse(__file__)

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    @app.websocket("/talk")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close(4001)

    return app


def sock() -> Any:
    from flask import Flask, request
    from simple_websocket import Server

    app = Flask("app")

    def talk() -> str:
        server = Server.accept(request.environ)
        server.send(server.receive())
        server.close()
        return ""

    app.add_url_rule("/talk", "talk", talk, websocket=True)
    return app


def _told(path: str) -> bytes | None:
    if path == "/garbage":
        count = gc.collect()
        gc.freeze()  # what lives on is not looked at again, which takes the most time
        return str(count).encode()
    if path == "/measure":
        _Served.app = otel_obs.instrument(_Served.app)
        return b""
    return None


class _Served:
    app: Any = None


def _begin() -> None:
    gc.disable()
    name = os.environ["GARBAGE_OF"]
    _Served.app = (globals().get(name) or getattr(frameworks, name))()
    if "IS_MEASURED" in os.environ:
        _Served.app = otel_obs.instrument(_Served.app)


def wsgi(environ: Any, start_response: Any) -> Any:
    """What a WSGI server serves."""
    told = _told(environ["PATH_INFO"])
    if told is None:
        return _Served.app(environ, start_response)
    start_response("200 OK", [("Content-Length", str(len(told)))])
    return [told]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """What an ASGI server serves."""
    told = _told(scope["path"]) if scope["type"] == "http" else None
    if told is None:
        await _Served.app(scope, receive, send)
        return
    headers = [(b"content-length", str(len(told)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": told})


async def make_aiohttp() -> Any:
    """What aiohttp's own server serves."""
    from aiohttp import web

    async def tell(request: Any) -> Any:
        return web.Response(body=_told(request.path))

    for path in ("/garbage", "/measure"):
        _Served.app.router.add_get(path, tell)
    return _Served.app


_begin()
