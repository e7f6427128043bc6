"""A Flask application with websockets of every package that WSGI has; run as a program, it serves itself.

`python -m tests.apps.upgraded_flask werkzeug|pywsgi|geventwebsocket|socketio PORT`
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from flask import Blueprint, Flask, request

import otel_obs

app = Flask(__name__)


@app.get("/health")
def health() -> str:
    return "ok"


def add_flask_sock() -> None:
    from flask_sock import Sock

    sock, rooms = Sock(app), Blueprint("rooms", __name__, url_prefix="/rooms")

    def echo(ws: Any, name: str) -> None:
        while (data := ws.receive()) != "bye":
            ws.send(data)

    def boom(ws: Any) -> None:
        ws.receive()
        raise LookupError("on purpose")

    def closed(ws: Any) -> None:
        ws.close(4000, "enough")

    sock.route("/<name>/echo", bp=rooms)(echo)
    sock.route("/boom", bp=rooms)(boom)
    sock.route("/closed", bp=rooms)(closed)
    app.register_blueprint(rooms)


def add_simple_websocket() -> None:
    from simple_websocket import ConnectionClosed, Server

    @app.route("/simple", websocket=True)
    def simple() -> str:
        ws = Server.accept(request.environ)
        with suppress(ConnectionClosed):
            while True:
                ws.send(ws.receive())
        return ""

    @app.route("/careless", websocket=True)
    def careless() -> str:
        ws = Server.accept(request.environ)
        while True:
            ws.send(ws.receive())

    @app.route("/backend", websocket=True)
    def backend() -> str:
        Server.accept(request.environ).receive()
        raise ConnectionRefusedError("the database")


def add_gevent_websocket() -> None:
    @app.route("/gevent/<name>", websocket=True)
    def echo(name: str) -> str:
        ws = request.environ["wsgi.websocket"]
        while (data := ws.receive()) not in (None, "bye"):
            if data == "boom":
                raise LookupError("on purpose")
            if data == "backend":
                raise ConnectionRefusedError("the database")
            if data == "close":
                ws.close(4000)
                with suppress(OSError):
                    ws.send("too late")
                return ""
            ws.send(data)
        return ""

    @app.route("/gevent/flood", websocket=True)
    def flood() -> str:
        ws = request.environ["wsgi.websocket"]
        while True:
            ws.send("x" * 10_000)


add_flask_sock()
add_simple_websocket()
add_gevent_websocket()
otel_obs.instrument(app)


def plain(environ: Any, start_response: Any) -> Any:
    """No framework's; where it is served by gunicorn, it ends as that wants it."""
    from simple_websocket import ConnectionClosed, Server

    if environ.get("HTTP_UPGRADE") != "websocket":
        start_response("200 OK", [])
        return [b"ok"]
    ws = Server.accept(environ)
    with suppress(ConnectionClosed):
        while True:
            ws.send(ws.receive())
    raise StopIteration


plain_app = otel_obs.instrument(plain)


def socketio_app(mode: str) -> Flask:
    """The application with Socket.IO in front of it."""
    from flask_socketio import SocketIO

    socketio = SocketIO(app, async_mode=mode)
    socketio.on_event("hello", lambda word: socketio.emit("answer", word))
    return app


def serve(kind: str, port: int) -> None:
    if kind == "werkzeug":
        app.run(port=port, threaded=True)
    elif kind == "socketio":
        socketio_app("threading").run(port=port, threaded=True)
    else:
        from gevent.pywsgi import WSGIServer

        handler: Any = None
        if kind == "geventwebsocket":
            from geventwebsocket.handler import WebSocketHandler

            handler = WebSocketHandler
        WSGIServer(("127.0.0.1", port), app, handler_class=handler).serve_forever()


if __name__ == "__main__":
    if sys.argv[1] in ("pywsgi", "geventwebsocket"):
        from gevent import monkey

        monkey.patch_all()
    serve(sys.argv[1], int(sys.argv[2]))
