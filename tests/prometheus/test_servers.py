"""Expositions over HTTP and in files."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from otel_obs.http.asgi_types import AsgiMessage
from otel_obs.prometheus import (
    CollectorRegistry,
    Counter,
    Metric,
    make_asgi_app,
    make_wsgi_app,
    push_to_gateway,
    start_http_server,
    write_to_textfile,
)
from otel_obs.prometheus.asgi import LONG_S
from tests.prometheus.programs import IS_OLD
from tests.support.ports import free_port
from tests.support.web import request


@pytest.fixture
def registry() -> CollectorRegistry:
    """A counter at 3."""
    registry = CollectorRegistry()
    Counter("orders", "Orders", registry=registry).inc(3)
    return registry


def take_long() -> None:
    """Have something to do for longer than an event loop may be held up."""
    until_s = time.perf_counter() + 2 * LONG_S
    while time.perf_counter() < until_s:
        pass


def ask(app: Any, path: str = "/", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request to an ASGI application."""
    path, _, query = path.partition("?")
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: AsgiMessage) -> None:
        sent.append(dict(message))

    asyncio.run(app(scope, receive, send))
    start, body = sent
    fields = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return start["status"], fields, body["body"]


def test_an_asgi_application_answers_as_that_of_prometheus_client_does(registry: CollectorRegistry) -> None:
    status, headers, body = ask(make_asgi_app(registry))
    assert status == 200
    assert headers == {"content-type": "text/plain; version=0.0.4; charset=utf-8"}
    assert b"orders_total 3.0\n" in body
    _, headers, body = ask(make_asgi_app(registry), accept_encoding="gzip")
    assert headers["content-encoding"] == "gzip"
    assert b"orders_total 3.0\n" in gzip.decompress(body)
    if not IS_OLD:  # older ones look for a name among bytes
        assert ask(make_asgi_app(registry), "/?name[]=other")[2] == b""


def test_the_event_loop_goes_on_while_a_collection_takes_long(registry: CollectorRegistry) -> None:
    released = threading.Event()
    released.set()

    class Slow:
        """Takes long, and the second time ends only when the loop has had a turn."""

        def collect(self) -> list[Metric]:
            take_long()
            assert released.wait(10)
            return []

    registry.register(Slow())
    app = make_asgi_app(registry)
    scope = {"type": "http", "headers": [], "query_string": b""}

    async def serve() -> None:
        await app(scope, receive, send)
        released.clear()
        asyncio.get_running_loop().call_later(0.01, released.set)
        await app(scope, receive, send)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: AsgiMessage) -> None:
        """Not looked at."""

    asyncio.run(serve())


def test_an_error_of_a_collector_ends_a_request_and_no_more(registry: CollectorRegistry) -> None:
    class Broken:
        """Fails."""

        def collect(self) -> list[Metric]:
            take_long()
            raise LookupError("no database")

    broken = Broken()
    registry.register(broken)
    app = make_asgi_app(registry)
    for _ in range(2):
        with pytest.raises(LookupError, match="^no database$"):
            ask(app)
    registry.unregister(broken)
    assert ask(app)[0] == 200


def test_a_wsgi_application_answers(registry: CollectorRegistry) -> None:
    seen: list[Any] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "QUERY_STRING": ""}
    body = b"".join(make_wsgi_app(registry)(environ, lambda *answer: seen.extend(answer)))
    assert seen[0] == "200 OK"
    assert b"orders_total 3.0\n" in body


def test_a_server_of_its_own_answers(registry: CollectorRegistry) -> None:
    port = free_port()
    started = start_http_server(port, addr="127.0.0.1", registry=registry)
    try:
        assert "orders_total 3.0\n" in request(f"http://127.0.0.1:{port}/metrics").text
    finally:
        if started:  # before 0.20 there was no way to stop it
            started[0].shutdown()
            started[0].server_close()
            started[1].join()


def test_a_file_is_written_whole(registry: CollectorRegistry, tmp_path: Path) -> None:
    path = tmp_path / "orders.prom"
    write_to_textfile(str(path), registry)
    assert "orders_total 3.0\n" in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


def test_a_gateway_gets_the_metrics(registry: CollectorRegistry) -> None:
    pushed: list[Any] = []

    def handler(url: str, method: str, timeout: float, headers: Any, data: bytes) -> Any:
        pushed.append((url, method, data))
        return lambda: None

    push_to_gateway("gateway:9091", job="batch", registry=registry, handler=handler)
    ((url, method, data),) = pushed
    assert (url, method) == ("http://gateway:9091/metrics/job/batch", "PUT")
    assert b"orders_total 3.0\n" in data
