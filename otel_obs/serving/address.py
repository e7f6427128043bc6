"""Where `/metrics` is served by itself: a port of a host, or a Unix socket, which is a file."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from typing import NamedTuple

from otel_obs.errors import UnusableSocketError

SCHEME = "unix:"

MODE = 0o660
"""Who may scrape a Unix socket: its owner and its group, as far as the directory lets them."""


class BoundSocket(NamedTuple):
    """A socket that is bound, and which file it has made, by device and inode; None where it is a port's."""

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
        """One word that says which address it is, to whoever finds it taken."""
        return str(self.port)

    @property
    def settings(self) -> str:
        """What the user has set."""
        return f"OTEL_EXPORTER_PROMETHEUS_PORT={self.port} on {self.host}"

    def bound(self) -> BoundSocket:
        """A socket that is bound to it.

        Raises:
            OSError: It cannot be had.
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
        """Whether *made* is still what answers there: nobody can take a port away."""
        return True

    def leave(self, made: BoundSocket) -> None:
        """Nothing stays behind."""


class SocketFile(NamedTuple):
    """A Unix socket."""

    path: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.path}"

    @property
    def mark(self) -> str:
        """One word that says which address it is, to whoever finds it taken."""
        return str(self).replace(" ", "%20")

    @property
    def settings(self) -> str:
        """What the user has set."""
        return f"OTEL_EXPORTER_PROMETHEUS_HOST={self}"

    def bound(self) -> BoundSocket:
        """A socket that is bound to it; a file that a killed process has left is replaced.

        Raises:
            OSError: It cannot be had.
        """
        self._clear()
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(made.fileno(), MODE)  # from the first moment no more than that
            made.bind(self.path)
            os.chmod(self.path, MODE)  # whatever the umask takes away
            found = os.lstat(self.path)
        except BaseException:
            made.close()
            raise
        return BoundSocket(made, (found.st_dev, found.st_ino))

    def _clear(self) -> None:
        """Take away a socket that nobody listens at.

        Raises:
            UnusableSocketError: There is a file that is no socket, or somebody listens.
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
                pass  # somebody listens, and is slow
        raise UnusableSocketError(
            self.path,
            "is served by another process",
            "if both are one service, set OTEL_OBS_SERVICE_ID to one value for both, else take another path",
        )

    def is_held_by(self, made: BoundSocket) -> bool:
        """Whether *made* is still what answers there: anybody may remove a file, or put another there."""
        try:
            found = os.lstat(self.path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == made.file

    def leave(self, made: BoundSocket) -> None:
        """Take the file away, if it is still the one of *made*."""
        if self.is_held_by(made):
            with contextlib.suppress(OSError):
                os.unlink(self.path)


ListenAddress = PortAddress | SocketFile


def address_of(host: str, port: int | None) -> ListenAddress:
    """The address that settings name; of a Unix socket, *host* is `unix:` and its path."""
    if host.startswith(SCHEME):
        return SocketFile(host.removeprefix(SCHEME))
    return PortAddress(host, port or 0)


def listening() -> list[str]:
    """Where this process listens, as far as the kernel tells: `127.0.0.1:8000`, `unix:/run/shop.sock`."""
    found: dict[str, None] = {}
    try:
        descriptors = os.listdir("/proc/self/fd")
    except OSError:
        return []
    for descriptor in map(int, descriptors):
        with contextlib.suppress(OSError, ValueError):
            # Never a copy of it: what is no socket would stay open, and locks of the run directory with it.
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            view = socket.socket(fileno=descriptor)
            try:
                if view.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    name = view.getsockname()
                    is_port = view.family in (socket.AF_INET, socket.AF_INET6)
                    found[str(PortAddress(*name[:2]) if is_port else SocketFile(os.fsdecode(name)))] = None
            finally:
                view.detach()
    return sorted(found)
