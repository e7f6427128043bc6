"""Files that guard a page, such as a token or a certificate: one that is replaced is used from then on."""

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
    """What is made from files, made again once one of them is another.

    What cannot be read is said once, and what was there before goes on: in the middle of a replacement a file
    may be absent, or hold half of what it will.

    Args:
        paths: The files.
        load: Makes it.
    """

    def __init__(self, paths: Sequence[str], load: Callable[[], T]) -> None:
        self._paths, self._load = tuple(paths), load
        self._once = LogOnce()
        self._signature = self._sign()
        self._value = load()

    def __call__(self) -> T:
        """What the files make now."""
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
        """What changes when a file is replaced or written to; None where one cannot be looked at."""
        try:
            found = [os.stat(path) for path in self._paths]
        except OSError:
            return None
        return tuple((status.st_ino, status.st_mtime_ns, status.st_size) for status in found)


def certificate(paths: tuple[str, str]) -> Watched[ssl.SSLContext]:
    """The TLS context of a certificate's and a key's file.

    Raises:
        OSError, ssl.SSLError: They cannot be read, or do not belong together.
    """

    def load() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*paths)
        return context

    return Watched(paths, load)


def wrapped(connection: Any, context: ssl.SSLContext) -> Any:
    """A connection that speaks TLS; the handshake is its own thread's, so that a silent client is alone."""
    return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
