"""The port of its own: what is odd is answered, a body is no request, and nobody takes it all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from otel_obs.serving import port
from otel_obs.serving.port import PortServer
from otel_obs.serving.scrape import Scrape

TOKEN = b"Authorization: Bearer s3cret\r\n"
INNER = b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + TOKEN + b"\r\n"


class Page:
    def collect(self, accept: str, names: Sequence[str]) -> tuple[str, Iterator[bytes]]:
        return "text/plain", iter([b"# TYPE a counter\n"])


@pytest.fixture
def address() -> Iterator[Any]:
    server = PortServer(("127.0.0.1", 0), Scrape(Page(), token="s3cret"), None)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address
    server.shutdown()
    thread.join()
    server.server_close()


def said(address: Any, data: bytes, wait_s: float = 5.0) -> bytes:
    """All that the server sends until it closes."""
    with socket.create_connection(address) as client:
        client.settimeout(wait_s)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while more := client.recv(65536):
            answer += more
        return answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + TOKEN + b"\r\n", b"200"),
        (b"GET http://x/metrics HTTP/1.1\r\nHost: x\r\n" + TOKEN + b"\r\n", b"200"),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"401"),
        (b"GET /metrics/ HTTP/1.1\r\nHost: x\r\n" + TOKEN + b"\r\n", b"404"),
        (b"GET /metrics%2f HTTP/1.1\r\nHost: x\r\n" + TOKEN + b"\r\n", b"404"),
        *(
            (b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n" + TOKEN + b"\r\n", b"404")
            for target in (
                b"//metrics",
                b"/x/../metrics",
                b"\x01/metrics",
                b"/metrics#x",
                b"x:/metrics",
                b"http:/metrics",
            )
        ),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER, b"405"),
        (b"GET /other HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER, b"404"),
        (b"GET /metrics HTTP/1.1\r\n" + TOKEN + b"Content-Length: x\r\n\r\n" + INNER, b"400"),
        (
            b"POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"%x\r\n" % len(INNER)
            + INNER
            + b"\r\n0\r\n\r\n",
            b"405",
        ),
        (b"POST /metrics HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n", b"405"),
        *(
            (b"GET " + line + b"HTTP/1.1\r\nHost: x\r\n" + TOKEN + b"\r\n", b"400")
            for line in (
                b"/metrics\t",
                b"/metrics\t ",
                b"/metrics\x0b ",
                b"/metrics\xa0 ",
                b" /metrics ",
                b"/metrics  ",
            )
        ),
        (b"GET\t/metrics HTTP/1.1\r\nHost: x\r\n" + TOKEN + b"\r\n", b"400"),
        (b"GET http://[::1/metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"TRACE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"BREW /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"501"),
        (b"GET /metrics\r\n\r\n", b"505"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET /metrics HTTP/1.1\r\n" + b"X: 1\r\n" * 1000 + b"\r\n", b"431"),
    ],
)
def test_every_request_is_answered_once(address: Any, request_: bytes, status: bytes) -> None:
    answer = said(address, request_)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.split(b" ")[1] == status
    assert (b"# TYPE" in answer) is (status == b"200")


def test_a_connection_is_kept_for_the_next_scrape(address: Any) -> None:
    answer = said(address, INNER * 3)
    assert answer.count(b"HTTP/1.1 200 ") == 3


def test_who_is_silent_gives_way(address: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = [socket.create_connection(address) for _ in range(port.CONNECTIONS + 10)]
    try:
        assert b"HTTP/1.1 200 " in said(address, INNER)
    finally:
        for each in silent:
            each.close()


def test_who_sends_a_request_byte_by_byte_has_to_hurry(address: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "REQUEST_S", 0.2)
    with socket.create_connection(address) as client:
        client.settimeout(10)
        client.sendall(b"GET /metr")
        assert client.recv(1000) == b""


def test_who_reads_too_slowly_is_left(address: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Page, "collect", lambda *_: ("text/plain", iter([b"x" * 1_000_000] * 64)))
    monkeypatch.setattr(port, "SEND_S", 0.2)
    with socket.create_connection(address) as client:
        client.settimeout(10)
        client.sendall(INNER)
        threading.Event().wait(0.5)
        read = 0
        while more := client.recv(1 << 20):
            read += len(more)
        assert read < 64_000_000
