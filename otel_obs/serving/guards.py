"""The token, certificate and key files of a page: a replaced file is used without a restart."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from otel_obs.host.once import LogOnce
from otel_obs.host.signals import raise_interruption

T = TypeVar("T")

_Signature = tuple[tuple[int, int, int], ...]


class Watched(Generic[T]):
    """A value that is loaded from files, and loaded again when one of them changes.

    If loading fails, that is logged once and the previous value stays in use: while files are being replaced,
    one may be absent or half written.

    Args:
        paths: The files.
        load: Reads the files and makes the value.
    """

    def __init__(self, paths: Sequence[str], load: Callable[[], T]) -> None:
        self._paths, self._load = tuple(paths), load
        self._once = LogOnce()
        # In this order: a file that changes while it is read is loaded again at the next call.
        self._signature = self._sign()
        self._value = load()

    def __call__(self) -> T:
        """Return the value, after loading it again if a file has changed."""
        signature = self._sign()
        if signature != self._signature:
            try:
                self._value = self._load()
                self._signature = signature
                self._once.forget("unreadable")
            except Exception as error:
                raise_interruption(error)
                self._once.warning(
                    "unreadable", "%s; what was read before is still used", str(error) or repr(error)
                )
        return self._value

    def _sign(self) -> _Signature | None:
        """Inode, modification time and size of each file; None where one cannot be read."""
        try:
            found = [os.stat(path) for path in self._paths]
        except OSError as error:
            raise_interruption(error)
            return None
        return tuple((status.st_ino, status.st_mtime_ns, status.st_size) for status in found)


def certificate(paths: tuple[str, str]) -> Watched[ssl.SSLContext]:
    """Load a TLS context, again whenever its files change.

    Args:
        paths: The certificate's file and the key's file.

    Raises:
        OSError, ssl.SSLError: The files cannot be read, or do not belong together.
    """

    def load() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*paths)
        return context

    return Watched(paths, load)


def wrapped(connection: Any, context: ssl.SSLContext) -> Any:
    """Wrap a connection in TLS. The handshake happens at the first read, on the connection's own thread.

    During `accept`, a silent client would block the clients after it.
    """
    return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
