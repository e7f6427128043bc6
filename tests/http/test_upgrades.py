"""Websockets of WSGI applications, on the servers that have them: connections, and never requests."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import socketio
from websockets import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.processes import Service, tool
from tests.support.samples import Samples
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
MODULE = "tests.apps.upgraded_flask"
GUNICORN = (tool("gunicorn"), "-b", "127.0.0.1:{port}")
GTHREAD = (*GUNICORN, "-k", "gthread", "--threads", "8")
GEVENT_WEBSOCKET = (*GUNICORN, "-k", "geventwebsocket.gunicorn.workers.GeventWebSocketWorker")
PROGRAM = (sys.executable, "-m", MODULE)

SIMPLE = {
    "gunicorn gthread": (*GTHREAD, f"{MODULE}:app"),
    "gunicorn gevent": (*GUNICORN, "-k", "gevent", f"{MODULE}:app"),
    "werkzeug": (*PROGRAM, "werkzeug", "{port}"),
    "pywsgi": (*PROGRAM, "pywsgi", "{port}"),
}
GEVENT = {
    "gunicorn": (*GEVENT_WEBSOCKET, f"{MODULE}:app"),
    "pywsgi": (*PROGRAM, "geventwebsocket", "{port}"),
}
SOCKETIO = {
    "gunicorn gthread": ((*GTHREAD, f"{MODULE}:socketio_app('threading')"), ["polling", "websocket"]),
    "gunicorn gevent": ((*GEVENT_WEBSOCKET, f"{MODULE}:socketio_app('gevent')"), ["polling", "websocket"]),
    "werkzeug": ((*PROGRAM, "socketio", "{port}"), ["websocket"]),
}


@contextmanager
def serving(command: tuple[str, ...], tmp_path: Path) -> Iterator[Service]:
    with Service(*command, cwd=ROOT, log_file=tmp_path / "log") as service:
        yield service


def talk(service: Service, path: str, *words: str, end: str = "client") -> None:
    """Say something that is sent back, then end the connection, or have the server end it with *end*."""
    with connect(f"ws://127.0.0.1:{service.port}{path}", close_timeout=0.5) as client:
        for word in words:
            client.send(word)
            assert client.recv(timeout=10) == word
        if end == "drop":
            client.socket.shutdown(socket.SHUT_RDWR)
        elif end.isdigit():
            client.close(int(end))
        elif end != "client":
            client.send(end)
            wait_for_the_end(client)


def wait_for_the_end(client: ClientConnection) -> None:
    with suppress(ConnectionClosed, TimeoutError):
        while True:
            client.recv(timeout=0.5)


def ended(samples: Samples) -> dict[tuple[str, str], float]:
    """Connections by endpoint and close code."""
    return {
        (labels["endpoint"], labels["close_code"]): samples.value("websocket_connections_total", **labels)
        for labels in samples.labels("websocket_connections_total")
    }


def check_no_request_is_left(samples: Samples, *routes: str) -> None:
    """Nothing is open, and nothing of the connections is among the requests."""
    assert samples.total("websocket_connections_open") == 0
    assert samples.total("http_requests_in_progress") == 0
    assert samples.total("http_request_duration_seconds_sum") < 5
    for labels in samples.labels("http_requests_total"):
        assert labels["endpoint"] not in routes
        assert labels["status_code"] in ("200", "400", "404"), labels


def wait_for(service: Service, expected: dict[tuple[str, str], float]) -> Samples:
    def check() -> Samples:
        samples = service.scrape()
        assert ended(samples) == expected
        assert samples.total("websocket_connections_open") == 0
        return samples

    return until(check, f"connections that ended as {expected}")


@pytest.mark.parametrize("server", SIMPLE)
def test_simple_websocket_and_flask_sock(server: str, tmp_path: Path) -> None:
    with serving(SIMPLE[server], tmp_path) as service:
        echo = "/rooms/<name>/echo"
        expected: dict[Any, Any] = {}
        with connect(f"ws://127.0.0.1:{service.port}/rooms/x/echo") as client:
            client.send("hello")
            assert client.recv() == "hello"
            samples = service.scrape()
            assert samples.value("websocket_connections_open", endpoint=echo) == 1
            assert samples.total("http_requests_in_progress") == 0
        for path, words, end, endpoint, code in (
            ("/rooms/x/echo", ["a", "b"], "bye", echo, "1000"),
            ("/rooms/x/echo", ["a"], "drop", echo, "1006"),
            ("/rooms/boom", [], "x", "/rooms/boom", "1011"),
            ("/simple", ["a"], "4001", "/simple", "_OTHER"),
            ("/simple", ["a"], "1001", "/simple", "1001"),
            ("/careless", ["a"], "client", "/careless", "1000"),
            ("/careless", ["a"], "drop", "/careless", "1006"),
            ("/backend", [], "x", "/backend", "1011"),
        ):
            talk(service, path, *words, end=end)
            expected[endpoint, code] = expected.get((endpoint, code), 0.0) + 1
        expected[echo, "1000"] += 1
        assert service.get("/nope").status == 404
        samples = wait_for(service, expected)
        check_no_request_is_left(samples, *(endpoint for endpoint, _ in expected))
        errors = {labels["error_type"] for labels in samples.labels("errors_total")}
        assert errors == {"LookupError", "ConnectionRefusedError"}
        assert samples.total("errors_total") == 2
        assert samples.value("websocket_messages_total", endpoint=echo, direction="in") == 5
        assert samples.value("websocket_messages_total", endpoint=echo, direction="out") == 4
        assert samples.value("websocket_connection_duration_seconds_count", endpoint=echo) == 3


def test_a_server_that_closes(tmp_path: Path) -> None:
    with serving(SIMPLE["gunicorn gthread"], tmp_path) as service:
        with suppress(ConnectionClosed), connect(f"ws://127.0.0.1:{service.port}/rooms/closed") as client:
            client.recv(timeout=10)
        samples = wait_for(service, {("/rooms/closed", "4000"): 1})
        check_no_request_is_left(samples, "/rooms/closed")


@pytest.mark.parametrize("server", GEVENT)
def test_gevent_websocket(server: str, tmp_path: Path) -> None:
    with serving(GEVENT[server], tmp_path) as service:
        route = "/gevent/<name>"
        for words, end in (
            (["a", "b"], "client"),
            (["a"], "bye"),
            (["a"], "close"),
            (["a"], "4001"),
            (["a"], "drop"),
            ([], "boom"),
            ([], "backend"),
        ):
            talk(service, "/gevent/x", *words, end=end)
        with connect(f"ws://127.0.0.1:{service.port}/gevent/flood") as flooded:
            flooded.recv()
            flooded.socket.shutdown(socket.SHUT_RDWR)
        talk(service, "/nope")
        samples = wait_for(
            service,
            {
                (route, "1000"): 2,
                (route, "4000"): 1,
                (route, "_OTHER"): 1,
                (route, "1006"): 1,
                (route, "1011"): 2,
                ("/gevent/flood", "1006"): 1,
                ("__unmatched__", "404"): 1,
            },
        )
        check_no_request_is_left(samples, route, "/gevent/flood")
        errors = {labels["error_type"] for labels in samples.labels("errors_total")}
        assert errors == {"LookupError", "ConnectionRefusedError"}
        assert samples.value("websocket_messages_total", endpoint=route, direction="in") == 10
        assert samples.value("websocket_messages_total", endpoint=route, direction="out") == 6
        assert "AttributeError" not in service.log


@pytest.mark.parametrize("server", SOCKETIO)
def test_socketio(server: str, tmp_path: Path) -> None:
    command, transports = SOCKETIO[server]
    with serving(command, tmp_path) as service:
        client: Any = socketio.SimpleClient()
        client.connect(service.url, transports=transports)
        client.emit("hello", "x")
        assert client.receive(timeout=10) == ["answer", "x"]
        until(lambda: service.scrape().total("websocket_connections_open") == 1, "an open connection")
        client.disconnect()

        def check() -> Samples:
            samples = service.scrape()
            assert sum(ended(samples).values()) == 1
            assert {endpoint for endpoint, _ in ended(samples)} == {"__unknown__"}
            assert {code for _, code in ended(samples)} <= {"1000", "1005", "1006"}
            assert samples.total("http_requests_in_progress") == 0
            return samples

        check_no_request_is_left(until(check, "the end of the connection"))
        assert not service.scrape().labels("errors_total")


def test_an_application_of_no_framework(tmp_path: Path) -> None:
    with serving((*GTHREAD, f"{MODULE}:plain_app"), tmp_path) as service:
        talk(service, "/x", "a")
        samples = wait_for(service, {("__unknown__", "1000"): 1})
        check_no_request_is_left(samples)
        assert not samples.labels("errors_total")
