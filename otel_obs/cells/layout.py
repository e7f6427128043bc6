"""The bytes of a worker's file: a header, an append-only index of series, and float64 cells.

```
0      fixed header, crc'd            written once
256    commit word                    one aligned 8-byte store per change of the index
4096   index: records, 8-aligned      record first, then the commit word, then the first add
N      cells: float64, 8-aligned      written through a cast memoryview only
```
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from otel_obs.cells import exponential
from otel_obs.cells.attributes import Attributes, decode_attributes, tagged
from otel_obs.rundir import FILES_VERSION

MAGIC = b"OTELOBS\0"
VERSION = FILES_VERSION
HEADER_BYTES = 4096
COMMIT_AT = 256
CELL_BYTES = 8

RETIRED_WORKER = bytes(16)
"""In place of a worker's id: the retired store."""

MOVED = 0x6576_6F4D
"""In place of a commit word: the worker goes on in another file, which has taken this one's name."""

_HEADER = struct.Struct("<8sIIQd16sQQ")
_CRC = struct.Struct("<I")
_RECORD = struct.Struct("<II")
_SERIES = struct.Struct("<BIQd")
_LENGTH_BITS = 40
_LENGTH_MASK = (1 << _LENGTH_BITS) - 1

_STREAM_RECORD, _SERIES_RECORD, _REMOVED_RECORD = b"i", b"s", b"d"
_FOLDED_RECORD, _EXEMPLARS_RECORD, _ENDED_RECORD = b"f", b"e", b"x"
_EXEMPLARS = struct.Struct("<QQ")
_ENDED = struct.Struct("<Id")


class Kind(IntEnum):
    """What the cells of a series hold, and so how workers are merged."""

    COUNTER = 1
    UPDOWN = 2
    GAUGE = 3
    HISTOGRAM = 4
    EXPONENTIAL = 5


class Scope(NamedTuple):
    """An instrumentation scope."""

    name: str
    version: str | None = None
    schema_url: str | None = None
    attributes: Attributes = ()


class Stream(NamedTuple):
    """A metric stream as every worker declares it; equal streams are merged.

    `bounds` are a histogram's upper bounds, inclusive and ascending, in `unit`; for an exponential
    histogram they are `(max_size, max_scale)`. `merge` is a gauge's rule over workers.
    """

    kind: Kind
    name: str
    unit: str = ""
    description: str = ""
    scope: Scope = Scope("")
    bounds: tuple[float, ...] = ()
    merge: str = "latest"

    @property
    def cells(self) -> int:
        """The number of cells that one series takes."""
        if self.kind is Kind.HISTOGRAM:
            return len(self.bounds) + 4  # buckets, +Inf, sum, min, max
        if self.kind is Kind.GAUGE:
            return 2  # value, and when it was set: on the monotonic clock, which nobody sets
        if self.kind is Kind.EXPONENTIAL:
            return exponential.cells_of(int(self.bounds[0]))
        return 1

    @property
    def sum_at(self) -> int:
        """Which of its cells holds the sum, where the kind has one."""
        return {Kind.HISTOGRAM: len(self.bounds) + 1, Kind.EXPONENTIAL: exponential.SUM}.get(self.kind, 0)

    @property
    def rest_at(self) -> int:
        """Which cell of a retired series holds what the sum was rounded by: one that means nothing there."""
        if self.kind is Kind.EXPONENTIAL:
            return self.cells - 2
        return self.sum_at + 1

    @property
    def exemplar_slots(self) -> int:
        """How many exemplars a series keeps: one for each bucket, or a few for buckets without number."""
        return {Kind.COUNTER: 1, Kind.HISTOGRAM: len(self.bounds) + 1, Kind.EXPONENTIAL: 8}.get(self.kind, 0)

    @property
    def initial_cells(self) -> tuple[float, ...]:
        """What the cells of a new series hold."""
        if self.kind is Kind.HISTOGRAM:
            return (0.0,) * (len(self.bounds) + 2) + (math.inf, -math.inf)
        if self.kind is Kind.EXPONENTIAL:
            return exponential.initial_cells(int(self.bounds[0]), int(self.bounds[1]))
        return (0.0,) * self.cells


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
    """One series: which stream, where its cells are, since when, and its attributes as canonical JSON."""

    stream: int
    offset: int
    created_s: float
    attributes: bytes


class StreamRecord(NamedTuple):
    """One stream; its number is its position among the stream records of the file."""

    stream: Stream


class RemovedRecord(NamedTuple):
    """The series at this offset is gone."""

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
    """In a retired store: this worker's numbers are in here, since that time."""

    worker: bytes
    at_s: float


Record = SeriesRecord | StreamRecord | RemovedRecord | ExemplarsRecord | EndedRecord | FoldedRecord


@dataclass(slots=True)
class Damage:
    """What `read_records` found behind the valid prefix, if anything."""

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
    """Decode a header; None where it is short, damaged or of another version."""
    if len(data) < _HEADER.size + _CRC.size:
        return None
    fixed = data[: _HEADER.size]
    magic, version, size, pid, started_s, worker, index_bytes, cells_bytes = _HEADER.unpack(fixed)
    (crc,) = _CRC.unpack_from(data, _HEADER.size)
    if (magic, version, size) != (MAGIC, VERSION, HEADER_BYTES) or crc != zlib.crc32(fixed):
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


def pack_record(record: Record) -> bytes:
    """Encode one index record, padded to 8 bytes."""
    if isinstance(record, SeriesRecord):
        tag = _SERIES_RECORD
        body = _SERIES.pack(0, record.stream, record.offset, record.created_s) + record.attributes
    elif isinstance(record, StreamRecord):
        tag, body = _STREAM_RECORD, json.dumps(tagged(record.stream), separators=(",", ":")).encode()
    elif isinstance(record, RemovedRecord):
        tag, body = _REMOVED_RECORD, record.offset.to_bytes(8, "little")
    elif isinstance(record, ExemplarsRecord):
        tag, body = _EXEMPLARS_RECORD, _EXEMPLARS.pack(*record)
    elif isinstance(record, EndedRecord):
        tag, body = _ENDED_RECORD, _ENDED.pack(record.stream, record.at_s) + record.attributes
    else:
        tag, body = _FOLDED_RECORD, record.worker + struct.pack("<d", record.at_s)
    payload = tag + body
    framed = _RECORD.pack(len(payload), zlib.crc32(payload)) + payload
    return framed + bytes(-len(framed) % CELL_BYTES)


def read_records(index: bytes, damage: Damage) -> Iterator[Record]:
    """Decode the valid prefix of *index*, which begins at a record; note in *damage* what ends it early."""
    at, end = 0, len(index)
    while at < end:
        if at + _RECORD.size > end:
            damage.reason = "a record is cut"
            return
        length, crc = _RECORD.unpack_from(index, at)
        start = at + _RECORD.size
        payload = index[start : start + length]
        if len(payload) != length or not length or zlib.crc32(payload) != crc:
            damage.reason = "a record does not match its checksum"
            return
        try:
            record = _unpack_payload(payload)
        except (ValueError, TypeError, LookupError, struct.error):
            damage.reason = "a record is not understood"
            return
        yield record
        at = start + length + -(start + length) % CELL_BYTES


def _unpack_payload(payload: bytes) -> Record:
    tag, body = payload[:1], payload[1:]
    if tag == _SERIES_RECORD:
        _, stream, offset, created_s = _SERIES.unpack_from(body)
        return SeriesRecord(stream, offset, created_s, body[_SERIES.size :])
    if tag == _STREAM_RECORD:
        kind, name, unit, description, scope, bounds, merge = json.loads(body)
        stream = Stream(
            Kind(kind),
            name,
            unit,
            description,
            Scope(scope[0], scope[1], scope[2], decode_attributes(json.dumps(scope[3]).encode())),
            tuple(bounds),
            merge,
        )
        if stream.cells < 1:
            raise ValueError(stream.cells)
        return StreamRecord(stream)
    if tag == _REMOVED_RECORD:
        return RemovedRecord(int.from_bytes(body, "little"))
    if tag == _EXEMPLARS_RECORD:
        return ExemplarsRecord(*_EXEMPLARS.unpack(body))
    if tag == _ENDED_RECORD:
        return EndedRecord._make((*_ENDED.unpack_from(body), body[_ENDED.size :]))
    if tag == _FOLDED_RECORD:
        return FoldedRecord(body[:-8], struct.unpack("<d", body[-8:])[0])
    raise ValueError(tag)
