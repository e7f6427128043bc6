"""Under real servers: clients that leave, files, websockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.support.processes import Service, tool
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
APP_FILES = {"fastapi": "tests/apps/leaving_fastapi.py", "flask": "tests/apps/leaving_flask.py"}
FASTAPI, FLASK = "tests.apps.leaving_fastapi:app", "tests.apps.leaving_flask:app"

SERVERS = {
    "uvicorn h11": (tool("uvicorn"), "--port", "{port}", "--http", "h11", FASTAPI),
    "uvicorn httptools": (tool("uvicorn"), "--port", "{port}", "--http", "httptools", FASTAPI),
    "hypercorn": (tool("hypercorn"), "-b", "127.0.0.1:{port}", FASTAPI),
    "hypercorn trio": (tool("hypercorn"), "-k", "trio", "-b", "127.0.0.1:{port}", FASTAPI),
    "gunicorn asgi": (tool("gunicorn"), "-b", "127.0.0.1:{port}", "-k", "asgi", FASTAPI),
    "gunicorn gthread": (
        *(tool("gunicorn"), "-b", "127.0.0.1:{port}", "-k", "gthread", "--threads", "4"),
        FLASK,
    ),
    "gunicorn gevent": (tool("gunicorn"), "-b", "127.0.0.1:{port}", "-k", "gevent", FLASK),
}


@pytest.fixture(params=SERVERS)
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    with Service(*SERVERS[request.param], cwd=ROOT, log_file=tmp_path / "log") as service:
        yield service


@pytest.fixture
def sync_service(tmp_path: Path) -> Iterator[Service]:
    """A server whose one worker serves one request after the other."""
    with Service(
        *(tool("gunicorn"), "-b", "127.0.0.1:{port}", "-k", "sync", FLASK),
        cwd=ROOT,
        log_file=tmp_path / "log",
    ) as service:
        yield service


@contextmanager
def asking(service: Service, path: str) -> Iterator[socket.socket]:
    """Ask, and leave at the end of the block."""
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield connection


def settled(service: Service, endpoint: str) -> dict[str, float]:
    """Requests by status, as soon as there is one and none is in progress."""

    def look() -> dict[str, float]:
        samples = service.scrape()
        assert samples.total("http_requests_in_progress") == 0
        return {
            labels["status_code"]: samples.value("http_requests_total", **labels)
            for labels in samples.labels("http_requests_total")
            if labels["endpoint"] == endpoint
        }

    return until(look, f"a request of {endpoint}")


def in_progress(service: Service) -> bool:
    return service.scrape().total("http_requests_in_progress") == 1


def test_a_client_that_leaves_before_the_response_is_499(service: Service) -> None:
    with asking(service, "/slow"):
        until(lambda: in_progress(service), "a request in progress")
    # Hypercorn on trio does not look at an HTTP/1 connection before it has answered.
    expected = "200" if "trio" in service.command else "499"
    assert settled(service, "/slow") == {expected: 1}


def test_a_client_that_waits_gets_its_response(service: Service) -> None:
    assert service.get("/slow").text == "at last"
    assert settled(service, "/slow") == {"200": 1}


def test_a_client_that_leaves_during_the_response_is_499(service: Service) -> None:
    endpoint = "/stream/<name>" if FLASK in service.command else "/stream/{name}"
    with asking(service, "/stream/x") as connection:
        answer = b""
        while b"data: x 1" not in answer:
            answer += connection.recv(4096)
        assert in_progress(service)
    assert settled(service, endpoint) == {"499": 1}
    samples = service.scrape()
    labels = {"method": "GET", "endpoint": endpoint}
    assert samples.value("http_response_first_byte_seconds_count", **labels) == 1
    assert samples.value("http_response_first_byte_seconds_sum", **labels) < 1


def test_a_file_arrives_whole(service: Service) -> None:
    kind = "flask" if FLASK in service.command else "fastapi"
    assert service.get("/file").body == (ROOT / APP_FILES[kind]).read_bytes()
    assert settled(service, "/file") == {"200": 1}


def test_clients_that_leave_a_busy_worker_are_499(sync_service: Service) -> None:
    with asking(sync_service, "/slow"):
        pass
    with asking(sync_service, "/stream/x") as connection:
        connection.recv(1)
    assert settled(sync_service, "/slow") == {"499": 1}
    assert settled(sync_service, "/stream/<name>") == {"499": 1}


# Hypercorn tells the application of every close by the client that it was abnormal.
@pytest.mark.parametrize(
    ("server", "close_code"),
    [
        ("uvicorn httptools", "1000"),
        ("hypercorn", "1006"),
        ("hypercorn trio", "1006"),
        ("gunicorn asgi", "1000"),
    ],
)
def test_a_websocket(server: str, close_code: str, tmp_path: Path) -> None:
    with Service(*SERVERS[server], cwd=ROOT, log_file=tmp_path / "log") as service:
        with connect(f"ws://127.0.0.1:{service.port}/ws/7") as talk:
            for number in range(3):
                talk.send(str(number))
                assert talk.recv() == str(number)
            assert service.scrape().value("websocket_connections_open", endpoint="/ws/{room}") == 1
        labels = {"endpoint": "/ws/{room}"}
        until(
            lambda: service.scrape().value("websocket_connections_open", **labels) == 0, "a closed connection"
        )
        samples = service.scrape()
        assert samples.value("websocket_connections_total", close_code=close_code, **labels) == 1
        assert samples.value("websocket_messages_total", direction="in", **labels) == 3
        assert samples.value("websocket_messages_total", direction="out", **labels) == 3
        assert samples.value("websocket_connection_duration_seconds_count", **labels) == 1
