"""A server on loopback that serves the page, and scrapes the targets for it.

The page cannot scrape other origins itself: a browser forbids it.
"""

from __future__ import annotations

import sys
import urllib.parse
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from otel_obs.errors import UnreadableError
from otel_obs.live import served_files
from otel_obs.reading.fetch import ACCEPT_OPENMETRICS, Fetching

HOST = "127.0.0.1"
SAME_SITE = ("", "none", "same-origin")
TEXT = "text/plain; charset=utf-8"
MAX_PAGE_BYTES = 64 * 1024 * 1024
_MOST_DIGITS = 6


class _Reply(NamedTuple):
    status: HTTPStatus
    document: served_files.Document


class LiveServer(ThreadingHTTPServer):
    """Serves until `shutdown`; requests from another origin, or with another Host header, are refused.

    Args:
        targets: The addresses to scrape.
        fetching: The request options for the targets.
        port: The port on loopback; 0 for any that is free.
        interval_s: How often the page scrapes.
        traces: The address of a trace, with `{trace_id}` in it, to which the page links.

    Raises:
        OSError: The port is taken.
    """

    daemon_threads = True

    def __init__(
        self,
        targets: Sequence[str],
        fetching: Fetching,
        port: int = 0,
        interval_s: float = 2.0,
        traces: str = "",
    ) -> None:
        super().__init__((HOST, port), _LiveHandler)
        self.targets, self.fetching, self.interval_s, self.traces = targets, fetching, interval_s, traces
        self.hosts = frozenset(f"{host}:{self.server_port}" for host in ("localhost", HOST))

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that has gone away; print the traceback of anything else."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def reply(self, path: str) -> _Reply:
        """The reply for a path: a file, the list of targets, or a scrape of one target."""
        name = path.lstrip("/")
        if name == served_files.TARGETS:
            names = short_names(self.targets)
            return _Reply(HTTPStatus.OK, served_files.targets_document(names, self.interval_s, self.traces))
        if name.startswith(served_files.SCRAPE):
            return self._scraped(name.removeprefix(served_files.SCRAPE))
        document = served_files.read_asset(name)
        return _Reply(HTTPStatus.OK, document) if document is not None else _refusal(HTTPStatus.NOT_FOUND)

    def _scraped(self, index: str) -> _Reply:
        is_number = index.isascii() and index.isdecimal() and len(index) <= _MOST_DIGITS
        if not is_number or int(index) >= len(self.targets):
            return _refusal(HTTPStatus.NOT_FOUND)
        try:
            fetched = self.fetching.fetch(self.targets[int(index)], ACCEPT_OPENMETRICS, MAX_PAGE_BYTES)
        except UnreadableError as error:
            return _refusal(HTTPStatus.BAD_GATEWAY, error.problem)
        if fetched.status != HTTPStatus.OK:
            return _refusal(HTTPStatus.BAD_GATEWAY, f"answers with status {fetched.status}")
        return _Reply(HTTPStatus.OK, served_files.Document(TEXT, fetched.body))


def _refusal(status: HTTPStatus, error: str = "") -> _Reply:
    return _Reply(status, served_files.Document(TEXT, (error or status.phrase).encode()))


def short_names(targets: Sequence[str]) -> list[str]:
    """The names of targets on the page: host and port where these are unique, else the whole addresses."""
    places = [urllib.parse.urlsplit(target).netloc.rpartition("@")[2] for target in targets]
    return places if len(set(places)) == len(places) else list(targets)


class _LiveHandler(BaseHTTPRequestHandler):
    server: LiveServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Reply to requests of the page itself, and of a browser that navigates to it; refuse all others."""
        self._send(self.server.reply(urllib.parse.urlsplit(self.path).path) if self._is_own() else None)

    do_HEAD = do_GET

    def _is_own(self) -> bool:
        """Whether this page sent a request, and no other site or DNS name that was rebound to loopback."""
        is_navigation = self.headers.get("Sec-Fetch-Mode") == "navigate" and self.path == "/"
        is_same_site = is_navigation or self.headers.get("Sec-Fetch-Site", "") in SAME_SITE
        return is_same_site and self.headers.get("Host", "").lower() in self.server.hosts

    def _send(self, given: _Reply | None) -> None:
        status, document = given or _refusal(HTTPStatus.MISDIRECTED_REQUEST)
        self.send_response(status)
        for name, value in served_files.SECURITY_HEADERS:
            self.send_header(name, value)
        self.send_header("Content-Type", document.content_type)
        self.send_header("Content-Length", str(len(document.body)))
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(document.body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the terminal shows the command's own output."""
