"""The address of the metrics server: a port of a host, or a Unix socket, which is a file."""

from __future__ import annotations

import _socket
import contextlib
import os
import socket
import stat
from collections.abc import Collection, Sequence
from typing import NamedTuple

from otel_obs.errors import UnusableSocketError
from otel_obs.host.borrowed import borrowed_socket
from otel_obs.host.signals import raise_interruption, tolerate

SCHEME = "unix:"

_MULTIPROCESSING = "/pymp-"
"""Part of the path of each Unix socket of multiprocessing, in the directory that it makes for them."""

MODE = 0o660
"""Permissions of a Unix socket: its owner and group may scrape, if they have access to the directory."""


class BoundSocket(NamedTuple):
    """A bound socket, and the device and inode of its file; None for a port."""

    socket: socket.socket
    file: tuple[int, int] | None = None


class PortAddress(NamedTuple):
    """A port of a host."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def mark(self) -> str:
        """The address as one word, for the lock file: another service that finds it taken looks for that."""
        return str(self.port)

    @property
    def settings(self) -> str:
        """The setting that names the address, for log messages."""
        return f"OTEL_EXPORTER_PROMETHEUS_PORT={self.port} on {self.host}"

    def bound(self) -> BoundSocket:
        """Bind a socket to the address.

        Raises:
            OSError: The address is in use or not allowed.
        """
        family = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0][0]
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self.host, self.port))
        except BaseException:
            made.close()
            raise
        return BoundSocket(made)

    def is_held_by(self, made: BoundSocket) -> bool:
        """Whether *made* still has the address; always, since a bound port cannot be taken over."""
        return True

    def leave(self, made: BoundSocket) -> None:
        """Do nothing: a port needs no cleaning up."""


class SocketFile(NamedTuple):
    """A Unix socket."""

    path: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.path}"

    @property
    def mark(self) -> str:
        """The address as one word, for the lock file: another service that finds it taken looks for that."""
        return str(self).replace(" ", "%20")

    @property
    def settings(self) -> str:
        """The setting that names the address, for log messages."""
        return f"OTEL_EXPORTER_PROMETHEUS_HOST={self}"

    def bound(self) -> BoundSocket:
        """Bind a socket to the path, replacing a socket file that a killed process has left.

        Raises:
            OSError: The path is in use or not writable.
        """
        self._clear()
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(made.fileno(), MODE)  # before `bind`: the file never has more permissions
            made.bind(self.path)
            os.chmod(self.path, MODE)  # the umask may have removed some of them
            found = os.lstat(self.path)
        except BaseException:
            made.close()
            raise
        return BoundSocket(made, (found.st_dev, found.st_ino))

    def _clear(self) -> None:
        """Remove a socket file on which no process listens.

        Raises:
            UnusableSocketError: The file is no socket, or a process listens on it.
        """
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(found.st_mode):
            raise UnusableSocketError(
                self.path, "exists and is no socket", "move it away, or choose another path"
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(1.0)
            try:
                asking.connect(self.path)
            except (ConnectionRefusedError, FileNotFoundError):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path)
                return
            except TimeoutError:
                pass  # a process listens, and is slow
        raise UnusableSocketError(
            self.path,
            "is served by another process",
            "if both are one service, set OTEL_OBS_SERVICE_ID to one value for both, else take another path",
        )

    def is_held_by(self, made: BoundSocket) -> bool:
        """Whether the file is still that of *made*: other processes can remove or replace it."""
        try:
            found = os.lstat(self.path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == made.file

    def leave(self, made: BoundSocket) -> None:
        """Remove the file, if it is still that of *made*."""
        if self.is_held_by(made):
            with contextlib.suppress(OSError):
                os.unlink(self.path)


ListenAddress = PortAddress | SocketFile


def address_of(host: str, port: int | None) -> ListenAddress:
    """Return the configured address; for a Unix socket, *host* is `unix:` and its path."""
    if host.startswith(SCHEME):
        return SocketFile(host.removeprefix(SCHEME))
    return PortAddress(host, port or 0)


class OpenSocket(NamedTuple):
    """A socket on which this process accepts connections."""

    descriptor: int
    inode: int
    address: ListenAddress


def listening(of_server: Collection[int] | None = None, of_parent: Collection[int] = ()) -> list[str]:
    """List the addresses where this process serves its application: `127.0.0.1:8000`, `unix:/run/shop.sock`.

    Empty where there is no `/proc`. A process may listen for other things, too: the server's own commands, a
    debugger, multiprocessing. What the server says is taken, else what a worker shares with its server, else
    the ports, else Unix sockets.

    Args:
        of_server: The descriptors of the server's sockets; None where it does not say them.
        of_parent: The inodes of the sockets that the parent process holds, too.
    """
    found = _listening_sockets(of_parent)
    if of_server:
        chosen: Sequence[OpenSocket] = [each for each in found if each.descriptor in of_server]
    else:
        chosen = _ports_first([each for each in found if each.inode in of_parent])
    if not chosen and of_server is None:
        chosen = _ports_first(found)
    return sorted({str(each.address) for each in chosen})


def _ports_first(sockets: Sequence[OpenSocket]) -> Sequence[OpenSocket]:
    """The ports; the Unix sockets where there is none: beside a port, one is rarely the application's."""
    ports = [each for each in sockets if isinstance(each.address, PortAddress)]
    return ports or [each for each in sockets if _MULTIPROCESSING not in str(each.address)]


def _listening_sockets(of_parent: Collection[int]) -> list[OpenSocket]:
    try:
        descriptors = os.listdir("/proc/self/fd")
    except OSError as error:
        raise_interruption(error)
        return []
    found = []
    for descriptor in map(int, descriptors):
        with tolerate(OSError, ValueError):
            # Look at the descriptor itself, not at a `dup`: a duplicate inherited by a fork in between would
            # keep a file open, and with it a lock of the run directory.
            status = os.fstat(descriptor)
            if not stat.S_ISSOCK(status.st_mode):
                continue
            with borrowed_socket(descriptor) as view:
                if _accepts(view) or (status.st_ino in of_parent and _is_going_to(view)):
                    name = view.getsockname()
                    is_port = view.family in (socket.AF_INET, socket.AF_INET6)
                    address = PortAddress(*name[:2]) if is_port else SocketFile(os.fsdecode(name))
                    found.append(OpenSocket(descriptor, status.st_ino, address))
    return found


def _accepts(view: _socket.socket) -> bool:
    return bool(view.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _is_going_to(view: _socket.socket) -> bool:
    """Whether a socket is bound and not connected: a parent binds it, its worker listens later."""
    if view.type != socket.SOCK_STREAM or view.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    try:
        view.getpeername()
    except OSError as error:
        raise_interruption(error)
        return bool(view.getsockname()[1])
    return False
