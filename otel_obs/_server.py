"""A `/metrics` server of its own: one process of the service holds the port, another takes over."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import selectors
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from otel_obs.cells.service import Service
from otel_obs.errors import port_of_own_service
from otel_obs.host import forks
from otel_obs.host.threads import BackgroundThread
from otel_obs.http.polite import run_politely
from otel_obs.http.scrape import Scrape, ScrapeRequest
from otel_obs.rundir.directory import lock

_logger = logging.getLogger("otel_obs")

LOCK_NAME = "server.lock"
RETRY_S = 1.0


class MetricsServer:
    """Serves scrapes on a port, as long as this process is the one of the service that may.

    Every process of the service tries: a lock in the run directory says which one binds, and goes with
    its process. A port that somebody else holds is said once and tried again; it is never an error.

    Args:
        scrape: Answers requests.
        host: The address to bind.
        port: The port.
        service: Has the run directory with the lock.
        tls: The certificate's and the key's file; None serves plain HTTP.
    """

    def __init__(
        self,
        scrape: Scrape,
        host: str,
        port: int,
        service: Service,
        tls: tuple[str, str] | None = None,
    ) -> None:
        self._scrape, self._address, self._service, self._tls = scrape, (host, port), service, tls
        self._has_said = False
        self._delay_s = 0.0
        self._wakes: tuple[socket.socket, socket.socket] | None = None
        self._thread = BackgroundThread(self._run, "otel_obs_server", self._wake)
        self._server: _Server | None = None
        self._lock = -1
        forks.after_in_child(self._start_over)

    def start(self) -> None:
        """Begin to try for the port, on a thread of its own; connections wait while the process forks."""
        self._thread.start()

    def stop(self) -> None:
        """Leave the port to another process."""
        self._thread.end(2 * RETRY_S)
        self._close()

    def _start_over(self) -> None:
        """In a child: leave port and lock to the parent, and try for them when it is gone.

        The first try is put off: a server may change this process's user right after the fork.
        """
        self._close()
        self._close_wakes()
        self._delay_s = RETRY_S
        self.start()

    def _run(self, stop: threading.Event) -> None:
        self._wakes = socket.socketpair()
        stop.wait(self._delay_s)
        self._delay_s = looked_s = 0.0
        while not stop.is_set():
            if time.monotonic() - looked_s > RETRY_S:
                looked_s = time.monotonic()
                if self._service.has_other_users():
                    self._close()  # the workers' numbers are not for this process to see
                elif self._server is None and self._take_lock():
                    self._open()
            if self._server is None:
                stop.wait(RETRY_S)
            else:
                self._serve(self._server, self._wakes[0])
        self._close_wakes()

    @staticmethod
    def _serve(server: _Server, wake: socket.socket) -> None:
        """Wait for a connection, or for the end: a fork must not wait for a time to pass."""
        with selectors.DefaultSelector() as selector:
            selector.register(server.socket, selectors.EVENT_READ)
            selector.register(wake, selectors.EVENT_READ)
            if any(key.fileobj is server.socket for key, _ in selector.select(RETRY_S)):
                server.handle_request()

    def _wake(self) -> None:
        wakes = self._wakes
        if wakes is not None:
            with contextlib.suppress(OSError):  # the thread has ended
                wakes[1].send(b"x")

    def _close_wakes(self) -> None:
        wakes, self._wakes = self._wakes, None
        for wake in wakes or ():
            wake.close()

    def _open(self) -> None:
        try:
            self._server = _Server(self._address, self._scrape, self._tls)
            self._sign()
            self._has_said = False
        except (OSError, ssl.SSLError) as error:
            self._give_lock()
            self._say(error)

    def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.socket.close()
        self._give_lock()

    def _take_lock(self) -> bool:
        run_dir = self._service.run_dir()
        if run_dir is None:
            return True
        try:
            descriptor = run_dir.open(LOCK_NAME, os.O_CREAT | os.O_RDWR)
        except OSError:
            return False
        if not lock(descriptor, exclusive=True):
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def _sign(self) -> None:
        """Write into the lock's file who serves which port, for those who find it taken."""
        if self._lock >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._lock, 0)
                os.pwrite(self._lock, f"{self._address[1]} {os.getpid()}".encode(), 0)

    def _give_lock(self) -> None:
        descriptor, self._lock = self._lock, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _say(self, error: OSError) -> None:
        if not self._has_said:
            self._has_said = True
            host, port = self._address
            holder = self._service.holder_of(port, LOCK_NAME) if error.errno == errno.EADDRINUSE else None
            if holder is not None:
                _logger.warning("%s", port_of_own_service(host, port, *holder))
                return
            _logger.warning(
                "OTEL_EXPORTER_PROMETHEUS_PORT=%s on %s cannot be served: %s; it is tried again every %g s",
                port,
                host,
                error.strerror or error,
                RETRY_S,
            )


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    timeout = 0

    def __init__(self, address: tuple[str, int], scrape: Scrape, tls: tuple[str, str] | None) -> None:
        self.scrape = scrape
        self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        super().__init__(address, _Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            # The handshake is the handler thread's, so that a silent client holds up nobody else.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""
        _logger.debug("a scrape of %s ended early", client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 30

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        scrape = self.server.scrape
        if parts.path not in scrape.paths:
            self._send(
                404, [("Content-Type", "text/plain; charset=utf-8")], [f"see {scrape.path}\n".encode()]
            )
            return
        header = self.headers.get
        steps = scrape.steps(
            ScrapeRequest(
                self.command,
                parts.query,
                header("Accept", ""),
                header("Accept-Encoding", ""),
                header("Authorization", ""),
                header("X-Prometheus-Scrape-Timeout-Seconds", ""),
                parts.path,
            )
        )
        answer = run_politely(steps)  # beside an event loop, perhaps
        if answer is not None:
            self._send(answer.status, answer.headers, answer.parts)

    def _send(self, status: int, headers: list[tuple[str, str]], parts: list[bytes]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.command == "HEAD":
            self.end_headers()
            return
        self.send_header("Content-Length", str(sum(map(len, parts))))
        self.end_headers()
        for part in parts:
            self.wfile.write(part)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are no news."""
