"""The body of an answer, collected in parts and compressed part by part."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

WORTH_COMPRESSING_BYTES = 1400
"""A smaller body is sent as it is: it fits into one network packet."""
SLICE_BYTES = 64 * 1024
"""How much is compressed in one step, between which other threads run."""
PART_BYTES = 128 * 1024
"""Small chunks are joined until they have this size: one part is one write to the client."""
GZIP = 31
"""zlib's window for a gzip header."""


class BodyParts(list[bytes]):
    """The parts of a body, in a list that weak references can be made to: they tell whether it is in use."""

    __slots__ = ("__weakref__",)


class Body:
    """Collects a body in parts, and compresses it if the client allows that and the body is not small."""

    def __init__(self, may_compress: bool) -> None:
        self._may_compress = may_compress
        self._parts: list[bytes] = []
        self._small: list[bytes] = []
        self._small_bytes = 0
        self._gzip: zlib._Compress | None = None

    def append(self, chunk: bytes) -> Iterator[None]:
        """Add a chunk; yields after each slice that was compressed, so that the caller can rest."""
        if self._gzip is not None:
            yield from self._compress(chunk)
            return
        self._add(chunk)
        if self._may_compress and (self._parts or self._small_bytes > WORTH_COMPRESSING_BYTES):
            waiting, self._parts = self.finish(), []
            self._gzip = zlib.compressobj(1, zlib.DEFLATED, GZIP)
            for part in waiting:
                yield from self._compress(part)

    def _compress(self, chunk: bytes) -> Iterator[None]:
        assert self._gzip is not None
        for start in range(0, len(chunk), SLICE_BYTES):
            self._add(self._gzip.compress(chunk[start : start + SLICE_BYTES]))
            yield

    def _add(self, piece: bytes) -> None:
        self._small.append(piece)
        self._small_bytes += len(piece)
        if self._small_bytes >= PART_BYTES:
            self._gather()

    def _gather(self) -> None:
        if self._small_bytes:
            self._parts.append(b"".join(self._small))
        self._small, self._small_bytes = [], 0

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers that describe the body's encoding."""
        return [("Content-Encoding", "gzip")] if self._gzip is not None else []

    def finish(self) -> list[bytes]:
        """Complete the body, and return its parts, none of which is empty."""
        if self._gzip is not None:
            self._add(self._gzip.flush())
        self._gather()
        return self._parts
