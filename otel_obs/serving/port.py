"""The HTTP server of a port for `/metrics` alone: GET and HEAD without a body, few clients at a time."""

from __future__ import annotations

import io
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from otel_obs.serving.address import PortAddress, SocketFile
from otel_obs.serving.guards import wrapped
from otel_obs.serving.polite import run_politely
from otel_obs.serving.scrape import Scrape, ScrapeRequest
from otel_obs.serving.target import split_target

_logger = logging.getLogger("otel_obs")

CONNECTIONS = 64
"""How many clients may be connected; for one more, the connection that was idle for longest is closed."""

IDLE_S = 75.0
"""How long a connection may be idle between two requests."""

REQUEST_S = 10.0
"""How long a whole request may take to arrive."""

SEND_S = 60.0
"""How long a client may take to read a whole answer."""

_LINGER_S = 0.5
_LINGER_BYTES = 64 * 1024
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

TlsContext = Callable[[], ssl.SSLContext]


class PortServer(ThreadingHTTPServer):
    """Serves scrapes on a port, with one thread per connection.

    Args:
        address: Host and port, or a Unix socket.
        scrape: Answers requests.
        context: Returns the current TLS context; None serves plain HTTP.

    Raises:
        OSError: The address is in use or not allowed.
    """

    daemon_threads = True  # the interpreter does not wait for slow clients at its exit
    timeout = 0  # `handle_request` is called for a readable socket, and must not wait for another client

    def __init__(
        self, address: tuple[str, int] | SocketFile, scrape: Scrape, context: TlsContext | None
    ) -> None:
        self.scrape, self._context = scrape, context
        self.held = (address if isinstance(address, SocketFile) else PortAddress(*address)).bound()
        bound = self.held.socket
        self.address_family = bound.family
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        self.idle: dict[Any, None] = {}
        """The connections that wait for a request; the one that has waited longest is first."""
        self.is_over = False
        super().__init__(bound.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()  # the unbound one that the base class has made
        self.socket = bound
        try:
            self.server_activate()
        except OSError:
            bound.close()
            raise

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection; with TLS, using the current certificate."""
        connection, address = self.socket.accept()
        if self._context is not None:
            connection = wrapped(connection, self._context())
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a new thread, or refuse it with 503 where there are too many."""
        # If all slots are taken, close the longest idle connection, and wait until its thread has ended.
        if self._slots.acquire(blocking=False) or (
            self._dismiss_longest() and self._slots.acquire(timeout=2 * _LINGER_S)
        ):
            try:
                super().process_request(request, client_address)
            except BaseException:
                # There is no thread that would release it.
                self._slots.release()
                raise
            return
        # Not with TLS: sending would do the handshake here, on the thread that accepts.
        if self._context is None:
            with suppress(OSError):
                request.settimeout(_LINGER_S)
                request.sendall(_BUSY)
        self._close(request)

    def _dismiss_longest(self) -> bool:
        longest = next(iter(list(self.idle)), None)
        if longest is None:
            return False
        self.idle.pop(longest, None)
        with suppress(OSError):
            longest.shutdown(socket.SHUT_RDWR)
        return True

    def dismiss_all(self) -> None:
        """Close idle connections now, and the others after their current answer.

        Never in a forked child: `shutdown` acts on the connection, which the parent shares.
        """
        self.is_over = True
        while self._dismiss_longest():
            pass

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.idle.pop(request, None)
            self._slots.release()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection once the client has read the answer, or after half a second.

        Closing a socket with unread input sends a reset, on which the client may lose the answer.
        """
        with suppress(OSError, ValueError):
            request.shutdown(socket.SHUT_WR)
            left, until_s = _LINGER_BYTES, time.monotonic() + _LINGER_S
            while left > 0 and (rest_s := until_s - time.monotonic()) > 0:
                request.settimeout(rest_s)
                read = len(request.recv(left))
                if not read:
                    break
                left -= read
        self._close(request)

    @staticmethod
    def _close(request: Any) -> None:
        with suppress(OSError):
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a client that disconnects at debug level only."""
        _logger.debug("a scrape of %s ended early", client_address)


class _Incoming(io.RawIOBase):
    """Reads from a connection: `IDLE_S` until a request begins, then `REQUEST_S` for the whole request.

    A timeout per read would not stop a client that sends one byte at a time.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.until_s: float | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        now_s = time.monotonic()
        rest_s = IDLE_S if self.until_s is None else self.until_s - now_s
        if rest_s <= 0:
            raise TimeoutError
        self._connection.settimeout(rest_s)
        count: int = self._connection.recv_into(buffer)
        if self.until_s is None:
            self.until_s = now_s + REQUEST_S
        return count


class _Handler(BaseHTTPRequestHandler):
    server: PortServer
    protocol_version = "HTTP/1.1"
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(explain)s\n"

    def setup(self) -> None:
        super().setup()
        self._incoming = _Incoming(self.connection)
        self.rfile = io.BufferedReader(self._incoming)

    def handle_one_request(self) -> None:
        self._incoming.until_s = None
        # First idle, then the flag: `dismiss_all` sets the flag first, so one of the two sees the other.
        self.server.idle[self.connection] = None
        if self.server.is_over:
            self.close_connection = True
            return
        super().handle_one_request()

    def parse_request(self) -> bool:
        self.server.idle.pop(self.connection, None)
        if not super().parse_request():
            self.close_connection = True
            return False
        if self.request_version == "HTTP/0.9":
            self.send_error(505, explain="HTTP/1.0 or 1.1 is needed")
            return False
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with an error, with headers also where the request line is no HTTP/1."""
        if self.request_version == "HTTP/0.9":
            self.request_version = "HTTP/1.0"
        super().send_error(code, message, explain)

    def handle_expect_100(self) -> bool:
        """Send no `100 Continue`: a scrape has no body."""
        return True

    def _answer(self) -> None:
        has_body = self._has_body()
        if has_body:
            self.close_connection = True  # the next bytes are the body, which is not read
        # Not `self.path`, in which the base class has made one slash of several at the start. It also splits
        # the line at tabs and at all that Unicode calls a blank.
        _, _, rest = self.requestline.partition(" ")
        target, _, version = rest.partition(" ")
        try:
            if version != self.request_version or target != target.strip():
                raise ValueError
            urlsplit(target)
        except ValueError:
            self.send_error(400, explain="the request's target cannot be read")
            return
        path, query = split_target(target)
        scrape = self.server.scrape
        if path not in scrape.paths:
            self.send_error(404, explain=f"see {scrape.path}")
        elif has_body and self.command in ("GET", "HEAD"):
            self.send_error(400, explain="a scrape has no body")
        else:
            self._scrape(scrape, path, query)

    def _has_body(self) -> bool:
        lengths = self.headers.get_all("Content-Length", [])
        return "Transfer-Encoding" in self.headers or any(length.strip() != "0" for length in lengths)

    def _scrape(self, scrape: Scrape, path: str, query: str) -> None:
        header = self.headers.get
        steps = scrape.steps(
            ScrapeRequest(
                self.command,
                query,
                ", ".join(self.headers.get_all("Accept", [])),
                ", ".join(self.headers.get_all("Accept-Encoding", [])),
                header("Authorization", ""),
                header("X-Prometheus-Scrape-Timeout-Seconds", ""),
                path,
            )
        )
        answer = run_politely(steps)  # the application may run an event loop in this process
        if answer is not None:
            self._send(answer.status, answer.headers, answer.parts)

    def _send(self, status: int, headers: list[tuple[str, str]], parts: list[bytes]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        if self.command != "HEAD":
            self.send_header("Content-Length", str(sum(map(len, parts))))
        until_s = time.monotonic() + SEND_S
        self.connection.settimeout(SEND_S)
        self.end_headers()
        for part in parts if self.command != "HEAD" else ():
            self.connection.settimeout(max(until_s - time.monotonic(), 0.001))
            self.wfile.write(part)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = _answer

    def version_string(self) -> str:
        """The `Server` header: it does not reveal which program or version answers."""
        return "otel-obs"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing for a scrape."""
