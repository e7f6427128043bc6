"""A header that comes twice is one list, whoever serves the page."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

import otel_obs
from otel_obs.serving.port import PortServer
from otel_obs.serving.scrape import Scrape
from tests.support.processes import Service, tool

ROOT = Path(__file__).parents[2]
SERVERS = {
    "wsgi": (tool("gunicorn"), "-b", "127.0.0.1:{port}", "tests.apps.plain_flask:app"),
    "asgi": (tool("uvicorn"), "--port", "{port}", "tests.apps.plain_fastapi:app"),
}
HEADERS = (
    b"Accept: text/plain;version=0.0.4;q=0.1\r\nAccept: application/openmetrics-text;version=1.0.0\r\n"
    b"Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n"
)


def head_of(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=240) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + HEADERS + b"\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer and (more := client.recv(65536)):
            answer += more
    return answer.partition(b"\r\n\r\n")[0].lower()


def check(head: bytes) -> None:
    assert b"content-type: application/openmetrics-text" in head
    assert b"content-encoding: gzip" in head


@pytest.mark.parametrize("server", SERVERS)
def test_beside_an_application(server: str, tmp_path: Path) -> None:
    command = (tool("opentelemetry-instrument"), *SERVERS[server])
    with Service(*command, cwd=ROOT, log_file=tmp_path / "log", ready_path="/metrics") as service:
        check(head_of(service.port))


def test_on_a_port_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_OBS_RUN_DIR", str(tmp_path))
    otel_obs.shutdown()
    pipeline = otel_obs.configure()
    assert pipeline is not None
    server = PortServer(("127.0.0.1", 0), Scrape(pipeline), None)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        check(head_of(server.server_address[1]))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        otel_obs.shutdown()
