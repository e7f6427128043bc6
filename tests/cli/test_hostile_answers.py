"""What answers slowly, without an end or with a bomb: every command ends in time, in bounds, with a line."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from otel_obs.errors import UnreadableError
from otel_obs.reading.fetch import Fetching
from otel_obs.usage.analyze import PrometheusApi
from tests.support.endpoints import Endpoint, Reply
from tests.support.processes import clean_env, tool

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
MOST_BYTES = 3 << 30
Sending = Callable[[Callable[[bytes], None]], None]


@contextmanager
def sending(answer: Sending) -> Iterator[str]:
    """A server that hands each connection to *answer*, which may go on for as long as it is listened to."""
    server = socket.create_server(("127.0.0.1", 0))
    is_over = threading.Event()
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        def send(data: bytes) -> None:
            if is_over.is_set():
                raise ConnectionAbortedError
            connection.sendall(data)

        with connection:
            try:
                connection.settimeout(60)
                connection.recv(65536)
                answer(send)
            except OSError:
                return

    def accept() -> None:
        while not is_over.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/metrics"
    finally:
        is_over.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        accepting.join()
        for thread in threads:
            thread.join()


def _forever(send: Callable[[bytes], None], data: bytes, pause_s: float) -> None:
    while True:
        send(data)
        time.sleep(pause_s)


def slow_body(send: Callable[[bytes], None]) -> None:
    send(HEAD + b"\r\n")
    _forever(send, b"a", 0.05)


def slow_pieces(send: Callable[[bytes], None]) -> None:
    send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    _forever(send, b"2\r\na\n\r\n", 0.05)


def slow_headers(send: Callable[[bytes], None]) -> None:
    send(HEAD + b"X: ")
    _forever(send, b"x", 0.05)


def slow_refusal(send: Callable[[bytes], None]) -> None:
    send(HEAD.replace(b"200 OK", b"500 No") + b"\r\n")
    _forever(send, b"a", 0.05)


def many_continue(send: Callable[[bytes], None]) -> None:
    _forever(send, b"HTTP/1.1 100 Continue\r\n\r\n", 0.05)


def silence(send: Callable[[bytes], None]) -> None:
    send(HEAD)
    _forever(send, b"", 0.05)


SLOW = (slow_body, slow_pieces, slow_headers, slow_refusal, many_continue, silence)


@pytest.mark.parametrize("answer", SLOW)
def test_an_answer_that_never_ends_ends_at_the_timeout(answer: Sending) -> None:
    with sending(answer) as url:
        started_s = time.monotonic()
        with pytest.raises(UnreadableError, match=r"did not answer within 1 s") as raised:
            Fetching({}, 1.0).fetch(url)
        took_s = time.monotonic() - started_s

    assert raised.value.subject == url
    assert 0.9 < took_s < 30


def endless(send: Callable[[bytes], None]) -> None:
    send(HEAD + b"\r\n")
    _forever(send, b"a 1\n" * 100_000, 0)


@cache
def _packed(lines: int) -> bytes:
    packing = zlib.compressobj(1, wbits=31)
    pieces = [packing.compress(b'm{a="b"} 1\n' * 10_000) for _ in range(lines // 10_000)]
    return b"".join([*pieces, packing.flush()])


def bomb(send: Callable[[bytes], None]) -> None:
    packed = _packed(30_000_000)
    send(HEAD + f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode() + packed)


def many_lines(send: Callable[[bytes], None]) -> None:
    packed = _packed(3_000_000)
    send(HEAD + f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode() + packed)


COMMANDS = {
    "check": ("check", "{url}", "--timeout", "30"),
    "top": ("top", "{url}", "--once", "--timeout", "30"),
    "diff": ("diff", "{url}", "{url}", "--timeout", "30"),
    "budget": ("budget", "{url}", "--timeout", "30"),
    "analyze": ("analyze", "--prometheus", "{url}", "--timeout", "30"),
}


@pytest.mark.parametrize(
    ("answer", "command"),
    [*((bomb, command) for command in COMMANDS), (endless, "check"), (endless, "top"), (many_lines, "check")],
)
def test_no_answer_takes_more_than_a_bounded_memory(answer: Sending, command: str) -> None:
    with sending(answer) as url:
        done = subprocess.run(
            ["bash", "-c", f'ulimit -v {MOST_BYTES // 1024}; exec "$0" "$@"', tool("otel-obs")]
            + [part.format(url=url) for part in COMMANDS[command]],
            capture_output=True,
            text=True,
            env=clean_env({"COLUMNS": "200"}),
            timeout=240,
        )

    assert done.returncode == (1 if command == "check" else 2), done.stderr
    assert "Traceback" not in done.stderr
    said = done.stdout if command == "check" else done.stderr
    assert "holds more than" in said or "not as Prometheus does" in said or "answered 200" in said


DEEP = "[" * 200_000
SHAPES = [
    "", "null", "7", '"x"', "[]", "{}", DEEP, '{"status": "success"}', '{"status": "success", "data": null}',
    '{"status": "success", "data": 7}', '{"status": "success", "data": [7]}',
    '{"status": "success", "data": [null]}', '{"status": "success", "data": {"groups": 7}}',
    '{"status": "success", "data": {"groups": [7]}}', '{"status": "success", "data": {"groups": [{}]}}',
    '{"status": "success", "data": {"groups": [{"rules": [{}]}]}}',
    '{"status": "success", "data": {"groups": [{"rules": [{"name": 7, "query": "up"}]}]}}',
    '{"status": "success", "data": [{"__name__": 7}]}', '{"status": "success", "data": [{"a": [1]}]}',
    '{"status": "error"}', '{"status": "error", "error": {"a": 1}}',
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=range(len(SHAPES)))
@pytest.mark.parametrize("question", ["names", "series", "rules"])
def test_what_answers_unlike_a_prometheus_is_named(question: str, shape: str) -> None:
    with Endpoint(lambda accept, before: Reply(shape.encode(), "application/json")) as endpoint:
        api = PrometheusApi(endpoint.url.removesuffix("/metrics"), Fetching({}))
        ask = {"names": api.names, "series": lambda: api.series("{}"), "rules": api.rules}[question]
        with pytest.raises(UnreadableError, match="give the address of a Prometheus"):
            ask()


def test_what_answers_like_a_prometheus_is_read() -> None:
    rule = {"name": "R", "query": "up", "type": "recording"}
    data = {"groups": [{"file": "f.yml", "rules": [rule]}, {"name": "g", "rules": []}]}
    answer = json.dumps({"status": "success", "data": data})
    with Endpoint(lambda accept, before: Reply(answer.encode(), "application/json")) as endpoint:
        found = PrometheusApi(endpoint.url.removesuffix("/metrics"), Fetching({})).rules()

    assert [(each.user.where, each.user.records) for each in found] == [("f.yml: record R", "R")]
