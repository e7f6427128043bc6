"""The `/metrics` server on a port: one process of the service holds it; when it ends, another takes over."""

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
from collections.abc import Callable

from otel_obs.cells.membership import Service
from otel_obs.errors import UnusableSocketError, port_of_own_service
from otel_obs.host import forks
from otel_obs.host.descriptors import Descriptor
from otel_obs.host.endings import at_end
from otel_obs.host.threads import BackgroundThread
from otel_obs.host.weak import weakly
from otel_obs.rundir.directory import lock
from otel_obs.serving.address import ListenAddress
from otel_obs.serving.guards import certificate
from otel_obs.serving.port import PortServer
from otel_obs.serving.scrape import Scrape

_logger = logging.getLogger("otel_obs")

LOCK_NAME = "server.lock"
RETRY_S = 1.0


class MetricsServer:
    """Serves scrapes on a port, while this process is the one of the service that holds the lock.

    Every process of the service tries to lock a file in the run directory; its holder binds the port. The
    kernel releases the lock when the holder ends. If another program holds the port, that is logged once,
    and binding is tried again; it is never an error.

    Args:
        scrape: Answers requests.
        address: The port, or the Unix socket.
        service: Gives the run directory with the lock.
        tls: The certificate's and the key's file; None serves plain HTTP.
        say: Called with the address about `RETRY_S` after it is served: workers have had time to join.
    """

    def __init__(
        self,
        scrape: Scrape,
        address: ListenAddress,
        service: Service,
        tls: tuple[str, str] | None = None,
        say: Callable[[str], object] = lambda address: None,
    ) -> None:
        self._scrape, self._address, self._service, self._tls = scrape, address, service, tls
        self._say_that_served = say
        self._has_said = False
        self._delay_s = 0.0
        self._wakes: tuple[socket.socket, socket.socket] | None = None
        self._thread = BackgroundThread(self._run, "otel_obs_server", self._wake)
        self._server: PortServer | None = None
        self._has_told = False
        # Weakly: the exit handler must not keep the server alive.
        self._forget_end = at_end(weakly(self._end))
        self._lock: Descriptor | None = None
        forks.after_in_child(self._start_over)

    def start(self) -> None:
        """Start the thread that tries to bind the port and accepts connections; it pauses during a fork."""
        self._thread.start()

    def stop(self) -> None:
        """Leave the port to another process."""
        self._thread.end(2 * RETRY_S)
        self._forget_end()
        self._end()

    def _start_over(self) -> None:
        """In a forked child: leave port and lock to the parent, and try for them when it has ended.

        The first try is delayed: a server may change this process's user right after the fork.
        """
        # Only the child's descriptors are closed. The lock (flock) belongs to the open file, which the parent
        # still has, and a Unix socket's file stays, since the parent listens on it.
        self._close()
        self._close_wakes()
        self._delay_s = RETRY_S
        self.start()

    def _run(self, stop: threading.Event) -> None:
        # A new pair at each start, since the thread closes it when it ends, as before each fork.
        self._wakes = socket.socketpair()
        stop.wait(self._delay_s)
        self._delay_s = looked_s = 0.0
        while not stop.is_set():
            if time.monotonic() - looked_s > RETRY_S:
                looked_s = time.monotonic()
                if self._service.has_other_users():
                    self._end()  # this process cannot read the files of workers with another user
                    continue
                if self._server is not None and not self._address.is_held_by(self._server.held):
                    self._close()  # the socket file was removed or replaced
                if self._server is None and self._take_lock():
                    self._open()
                elif self._server is not None and not self._has_told:
                    self._has_told = True
                    self._say_that_served(str(self._address))
            if self._server is None:
                stop.wait(RETRY_S)
            else:
                self._serve(self._server, self._wakes[0])
        self._close_wakes()

    @staticmethod
    def _serve(server: PortServer, wake: socket.socket) -> None:
        """Wait for a connection, or for `_wake`: a fork ends the thread, and must not wait for a timeout."""
        with selectors.DefaultSelector() as selector:
            selector.register(server.socket, selectors.EVENT_READ)
            selector.register(wake, selectors.EVENT_READ)
            if any(key.fileobj is server.socket for key, _ in selector.select(RETRY_S)):
                server.handle_request()

    def _wake(self) -> None:
        wakes = self._wakes
        if wakes is not None:
            with contextlib.suppress(OSError):  # the thread has ended, and closed the pair
                wakes[1].send(b"x")

    def _close_wakes(self) -> None:
        wakes, self._wakes = self._wakes, None
        for wake in wakes or ():
            wake.close()

    def _open(self) -> None:
        try:
            context = None if self._tls is None else certificate(self._tls)
            self._server = PortServer(self._address, self._scrape, context)
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

    def _end(self) -> None:
        """Close, and remove the socket file, which would look as if a process listened."""
        if self._server is not None:
            self._address.leave(self._server.held)
            self._server.dismiss_all()
        self._close()  # last: with the lock, another process may bind

    def _take_lock(self) -> bool:
        run_dir = self._service.run_dir()
        if run_dir is None:
            return True  # this process is alone: no other one could bind
        try:
            opened = run_dir.open(LOCK_NAME, os.O_CREAT | os.O_RDWR)
        except OSError:
            return False
        if not lock(opened.number, exclusive=True):
            opened.close()
            return False
        self._lock = opened
        return True

    def _sign(self) -> None:
        """Write address and process id into the lock file, for other services that find the port taken."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._lock.number, 0)
                os.pwrite(self._lock.number, f"{self._address.mark} {os.getpid()}".encode(), 0)

    def _give_lock(self) -> None:
        held, self._lock = self._lock, None
        if held is not None:
            held.close()

    def _say(self, error: OSError) -> None:
        if not self._has_said:
            self._has_said = True
            address = self._address
            is_taken = error.errno == errno.EADDRINUSE or isinstance(error, UnusableSocketError)
            holder = self._service.holder_of(address.mark, LOCK_NAME) if is_taken else None
            if holder is not None:
                _logger.warning("%s", port_of_own_service(address.settings, *holder))
                return
            _logger.warning(
                "%s cannot be served: %s; it is tried again every %g s",
                address.settings,
                error.strerror or error,
                RETRY_S,
            )
