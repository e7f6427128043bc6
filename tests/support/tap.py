"""A target that passes scrapes on to a service, and keeps what the service answered."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple

from tests.support.web import request


class Scrape(NamedTuple):
    """One answer of the service."""

    asked_ms: float
    accept: str
    content_type: str
    text: str


class Tap:
    """Listens on a free loopback port; a context manager. Without a service it answers 503."""

    def __init__(self) -> None:
        self.url = ""
        """The service's address."""
        self.scrapes: list[Scrape] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.target = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Tap:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer_at(self, timestamp_ms: float) -> Scrape:
        """The answer to the scrape of that time. Counting does not find it: a scrape may fail on its way."""
        return min(self.scrapes, key=lambda scrape: abs(scrape.asked_ms - timestamp_ms))

    def _handler(tap) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked_ms = time.time() * 1e3
                accept = self.headers.get("Accept", "")
                try:
                    answer = request(tap.url + self.path, headers={"Accept": accept})
                except (OSError, ValueError):
                    self.send_error(503)
                    return
                content_type = answer.headers.get("Content-Type", "")
                self.send_response(answer.status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
                tap.scrapes.append(Scrape(asked_ms, accept, content_type, answer.text))

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
