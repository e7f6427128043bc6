"""Endpoints whose every answer is given: to see what a reader makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import NamedTuple

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


class Reply(NamedTuple):
    """One answer."""

    body: bytes
    content_type: str | None = TEXT
    status: int = 200
    headers: Mapping[str, str] = {}


Replying = Callable[[str, int], Reply]
"""The Accept header, and how many requests came before, in; an answer out."""


class Endpoint:
    """An HTTP server on a loopback port that answers every path as *reply* says; a context manager."""

    def __init__(self, reply: Replying) -> None:
        self.asked: list[Mapping[str, str]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                endpoint.asked.append(dict(self.headers))
                given = reply(self.headers.get("Accept", ""), len(endpoint.asked) - 1)
                self.send_response(given.status)
                if given.content_type is not None:
                    self.send_header("Content-Type", given.content_type)
                for name, value in given.headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in given.headers:
                    self.send_header("Content-Length", str(len(given.body)))
                self.end_headers()
                self.wfile.write(given.body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/metrics"

    def __enter__(self) -> Endpoint:
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def always(text: str, content_type: str | None = TEXT) -> Replying:
    """The same text, whatever is asked for."""
    return lambda accept, before: Reply(text.encode(), content_type)
