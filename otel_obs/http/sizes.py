"""The size of a body in bytes: declared in a header, or counted as it is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from otel_obs.host.signals import raise_interruption


def declared_bytes(headers: Iterable[tuple[str, str]]) -> int | None:
    """The Content-Length of a WSGI response; None where there is none or it is no number."""
    for name, value in headers:
        if name == "Content-Length" or name.lower() == "content-length":
            return _length(value)
    return None


def declared_bytes_raw(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """The Content-Length of an ASGI request or response; None where there is none or it is no number."""
    for name, value in headers:
        if name.lower() == b"content-length":
            return _length(value)
    return None


def body_bytes(message: Mapping[str, Any], declared: int | None) -> int:
    """The size of a file, or of its part, that the server sends itself: `pathsend` and `zerocopysend`.

    Args:
        message: The ASGI message.
        declared: The response's Content-Length.

    Returns:
        Bytes; 0 where the size cannot be found out.
    """
    size: int
    count: int | None = message.get("count")
    if count is not None:
        return count
    if declared is not None:
        return declared
    try:
        if "path" in message:
            return os.stat(message["path"]).st_size
        file = message["file"]
        offset = message.get("offset")
        size = os.fstat(file.fileno()).st_size - (file.tell() if offset is None else offset)
        return size
    except (OSError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise_interruption(error)
        return 0


def _length(value: str | bytes) -> int | None:
    try:
        length = int(value)
    except ValueError:
        return None
    return length if length >= 0 else None


class CountingInput:
    """Counts the bytes of a WSGI request's body without Content-Length, as the application reads them."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.bytes = 0

    def read(self, *size: int) -> bytes:
        """Read and count."""
        return self._counted(self._stream.read(*size))

    def readline(self, *size: int) -> bytes:
        """Read and count one line."""
        return self._counted(self._stream.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        """Read and count all lines."""
        return [self._counted(line) for line in self._stream.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        return map(self._counted, self._stream)

    def __getattr__(self, name: str) -> Any:
        """Look up methods that only some servers' streams have, and count in those that read."""
        attribute = getattr(self._stream, name)
        if name == "read1":
            return lambda *size: self._counted(attribute(*size))
        if name in ("readinto", "readinto1"):
            return lambda buffer: self._filled(attribute(buffer))
        return attribute

    def _filled(self, size: int | None) -> int | None:
        self.bytes += size or 0
        return size

    def _counted(self, data: bytes) -> bytes:
        self.bytes += len(data)
        return data
