"""The bytes of a worker's file: a header, an append-only index of series, and float64 cells.

```
0      fixed header, crc'd            written once
256    commit word                    one aligned 8-byte store per change of the index
4096   index: records, 8-aligned      record first, then the commit word, then the first add
N      cells: float64, 8-aligned      written through a cast memoryview only
```

Readers take no lock. The commit word covers complete records only, and each record has a checksum.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from otel_obs.cells.stream import Kind, Scope, Stream, describe, described_by
from otel_obs.cells.validity import MAX_RECORD_BYTES, InvalidError, decode_checked, demand
from otel_obs.rundir import FILES_VERSION

__all__ = [
    "CELL_BYTES",
    "COMMIT_AT",
    "HEADER_BYTES",
    "MAX_CELLS_BYTES",
    "MAX_INDEX_BYTES",
    "MOVED",
    "RETIRED_WORKER",
    "SERIES_LIMIT",
    "Damage",
    "EndedRecord",
    "ExemplarsRecord",
    "FileRecord",
    "FoldedRecord",
    "Header",
    "Kind",
    "RemovedRecord",
    "Scope",
    "SeriesRecord",
    "Stream",
    "StreamRecord",
    "end_of_record",
    "pack_commit",
    "pack_header",
    "pack_record",
    "read_record",
    "read_records",
    "record_bytes",
    "unpack_commit",
    "unpack_header",
]

MAGIC = b"OTELOBS\0"
VERSION = FILES_VERSION
HEADER_BYTES = 4096
COMMIT_AT = 256
CELL_BYTES = 8

RETIRED_WORKER = bytes(16)
"""The worker id in the header of the retired store, which belongs to no worker."""

MAX_INDEX_BYTES = 96 << 20
MAX_CELLS_BYTES = 160 << 20
"""The largest regions of a file, in bytes. No worker makes larger ones; a reader could run out of memory."""

SERIES_LIMIT = 2000
"""The default limit of series in one stream. Source: OpenTelemetry metrics SDK."""

MOVED = 0x6576_6F4D
"""Stored as the commit word when the worker has moved to another file. No index has it: the length that it
would stand for is above `MAX_INDEX_BYTES`."""

_HEADER = struct.Struct("<8sIIQd16sQQ")
_CRC = struct.Struct("<I")
_RECORD = struct.Struct("<II")
_SERIES = struct.Struct("<BIQd")
# The commit word is 40 bits of length and 24 of checksum. One 64-bit store changes both, so that a reader
# never combines the length of one change with the checksum of another.
_LENGTH_BITS = 40
_LENGTH_MASK = (1 << _LENGTH_BITS) - 1

_EXEMPLARS = struct.Struct("<QQ")
_ENDED = struct.Struct("<Id")
_FOLDED = struct.Struct("<16sd")


class Header(NamedTuple):
    """The fixed part of a worker's file."""

    pid: int
    started_s: float
    worker: bytes
    index_bytes: int
    cells_bytes: int

    @property
    def cells_at(self) -> int:
        """The byte at which the cells begin."""
        return HEADER_BYTES + self.index_bytes


class SeriesRecord(NamedTuple):
    """One series: its stream's number, its first cell, its start in Unix seconds, its attributes as JSON."""

    stream: int
    offset: int
    created_s: float
    attributes: bytes


class StreamRecord(NamedTuple):
    """One stream; its number is its position among the stream records of the file.

    `limit` is how many series it may have in the whole service; workers that differ in it share the stream.
    """

    stream: Stream
    limit: int = SERIES_LIMIT


class RemovedRecord(NamedTuple):
    """The series at this offset was removed; a later series may reuse its cells."""

    offset: int


class ExemplarsRecord(NamedTuple):
    """The exemplars of the series at `offset` are in the cells at `at`, a slot for each bucket."""

    offset: int
    at: int


class EndedRecord(NamedTuple):
    """The series of this stream that have at least these attributes ended, in every worker.

    `at_s` is on the monotonic clock; `attributes` are canonical JSON.
    """

    stream: int
    at_s: float
    attributes: bytes


class FoldedRecord(NamedTuple):
    """In a retired store: the numbers of `worker` were folded in at `at_s`, on the monotonic clock."""

    worker: bytes
    at_s: float


FileRecord = SeriesRecord | StreamRecord | RemovedRecord | ExemplarsRecord | EndedRecord | FoldedRecord


@dataclass(slots=True)
class Damage:
    """Why an index could not be read to its end; `reason` is empty if it could."""

    reason: str = ""


def pack_header(header: Header) -> bytes:
    """Encode *header* with its checksum."""
    fixed = _HEADER.pack(
        MAGIC,
        VERSION,
        HEADER_BYTES,
        header.pid,
        header.started_s,
        header.worker,
        header.index_bytes,
        header.cells_bytes,
    )
    return fixed + _CRC.pack(zlib.crc32(fixed))


def unpack_header(data: bytes) -> Header | None:
    """Decode a header; None where it is short, damaged, of another version, or has sizes no worker writes."""
    if len(data) < _HEADER.size + _CRC.size:
        return None
    fixed = data[: _HEADER.size]
    magic, version, size, pid, started_s, worker, index_bytes, cells_bytes = _HEADER.unpack(fixed)
    (crc,) = _CRC.unpack_from(data, _HEADER.size)
    if (magic, version, size) != (MAGIC, VERSION, HEADER_BYTES) or crc != zlib.crc32(fixed):
        return None
    if index_bytes > MAX_INDEX_BYTES or cells_bytes > MAX_CELLS_BYTES or (index_bytes | cells_bytes) % 8:
        return None
    return Header(pid, started_s, worker, index_bytes, cells_bytes)


def pack_commit(length: int) -> int:
    """The commit word of an index of *length* bytes: the length and a checksum of it, in one store."""
    check = zlib.crc32(length.to_bytes(5, "little")) & 0xFFFFFF
    return length | check << _LENGTH_BITS


def unpack_commit(word: int) -> int | None:
    """The committed length; None where the word is damaged."""
    length = word & _LENGTH_MASK
    return length if pack_commit(length) == word else None


def pack_record(record: FileRecord) -> bytes:
    """Encode one index record, padded to 8 bytes.

    Raises:
        ValueError: It is larger than `MAX_RECORD_BYTES`, which readers reject.
    """
    form = _FORMS[type(record)]
    payload = form.tag + form.pack(record)
    if len(payload) > MAX_RECORD_BYTES:
        raise ValueError(f"attributes of {len(payload)} bytes; {MAX_RECORD_BYTES} are the most")
    framed = _RECORD.pack(len(payload), zlib.crc32(payload)) + payload
    return framed + bytes(-len(framed) % CELL_BYTES)


def read_records(index: bytes, damage: Damage) -> Iterator[FileRecord]:
    """Decode the valid prefix of *index*, which begins at a record; note in *damage* what ends it early."""
    at = 0
    while at < len(index):
        length = record_bytes(index, at)
        if length is None or at + _RECORD.size + length > len(index):
            damage.reason = "a record is cut" if length is None else _MISMATCH
            return
        record = read_record(index, at, length, damage)
        if record is None:
            return
        yield record
        at = end_of_record(at, length)


_MISMATCH = "a record does not match its checksum"


def record_bytes(index: bytes, at: int) -> int | None:
    """The payload length that the record at *at* states, in bytes; None where its frame is cut."""
    if at + _RECORD.size > len(index):
        return None
    return int(_RECORD.unpack_from(index, at)[0])


def end_of_record(at: int, length: int) -> int:
    """Where the record after the one at *at* begins."""
    end = at + _RECORD.size + length
    return end + -end % CELL_BYTES


def read_record(index: bytes, at: int, length: int, damage: Damage) -> FileRecord | None:
    """Decode the record of *length* bytes at *at*; None, with the reason in *damage*, if it is damaged."""
    start = at + _RECORD.size
    payload = index[start : start + length]
    if not 0 < length <= MAX_RECORD_BYTES or zlib.crc32(payload) != _RECORD.unpack_from(index, at)[1]:
        damage.reason = _MISMATCH
        return None
    try:
        return _UNPACKED[payload[:1]](payload[1:])
    except (ValueError, TypeError, LookupError, struct.error):
        damage.reason = "a record is not understood"
    except InvalidError as error:
        damage.reason = str(error)
    return None


def _pack_series(record: SeriesRecord) -> bytes:
    return _SERIES.pack(0, record.stream, record.offset, record.created_s) + record.attributes


def _unpack_series(body: bytes) -> SeriesRecord:
    _, stream, offset, created_s = _SERIES.unpack_from(body)
    demand(math.isfinite(created_s), "a series begins at no time")
    return SeriesRecord(stream, offset, created_s, body[_SERIES.size :])


def _unpack_folded(body: bytes) -> FoldedRecord:
    demand(len(body) == _FOLDED.size, "a worker has no such id")
    return FoldedRecord(*_FOLDED.unpack(body))


def _pack_end(record: EndedRecord) -> bytes:
    return _ENDED.pack(record.stream, record.at_s) + record.attributes


def _unpack_end(body: bytes) -> EndedRecord:
    stream, at_s = _ENDED.unpack_from(body)
    demand(math.isfinite(at_s), "a series ended at no time")
    decode_checked(body[_ENDED.size :])
    return EndedRecord(stream, at_s, body[_ENDED.size :])


class _Form(NamedTuple):
    """How the payload of one kind of record is encoded: a tag byte, then what `pack` makes."""

    tag: bytes
    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], FileRecord]


_FORMS: dict[type[FileRecord], _Form] = {
    SeriesRecord: _Form(b"s", _pack_series, _unpack_series),
    StreamRecord: _Form(
        b"i", lambda record: describe(*record), lambda body: StreamRecord(*described_by(body))
    ),
    RemovedRecord: _Form(
        b"d",
        lambda record: record.offset.to_bytes(8, "little"),
        lambda body: RemovedRecord(int.from_bytes(body, "little")),
    ),
    ExemplarsRecord: _Form(
        b"e",
        lambda record: _EXEMPLARS.pack(*record),
        lambda body: ExemplarsRecord(*_EXEMPLARS.unpack(body)),
    ),
    EndedRecord: _Form(b"x", _pack_end, _unpack_end),
    FoldedRecord: _Form(b"f", lambda record: _FOLDED.pack(*record), _unpack_folded),
}
_UNPACKED = {form.tag: form.unpack for form in _FORMS.values()}
