"""Exemplars in cells: the latest one of each bucket, readable by every worker.

A slot is one measurement: a checksum, the value, the time, and its labels as text. It is written under the
worker's lock; a reader that comes in the middle of a write sees a wrong checksum, and leaves the exemplar
out of that scrape.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from otel_obs.cells.snapshot import Exemplar

_TEXT_BYTES = 336
"""Room for a trace, a span, and as many more characters of four bytes as OpenMetrics allows."""

_BODY = struct.Struct(f"<ddH{_TEXT_BYTES - 2}s")
_CHECKSUM = struct.Struct("<Q")
_SPAN = b"trace_id\0%032x\0span_id\0%016x\0"
SLOT_CELLS = (_CHECKSUM.size + _BODY.size) // 8

_ESCAPED = re.compile(r"\\(.)")
_UNESCAPED = {"0": "\0", "\\": "\\"}

MAX_RUNES = 128
"""The most characters of an exemplar's label names and values. Source: OpenMetrics 1.0."""


def pack(value: float, unix_s: float, labels: Mapping[str, str]) -> bytes:
    """Encode one exemplar; labels that find no room are left out, the trace and the span come first."""
    text, runes = b"", 0
    for name, label in sorted(labels.items(), key=lambda item: item[0] not in ("trace_id", "span_id")):
        more = f"{_escape(name)}\0{_escape(label)}\0".encode("utf-8", "surrogatepass")
        if len(text) + len(more) > _TEXT_BYTES - 2 or runes + len(name) + len(label) > MAX_RUNES:
            # Another label may be shorter.
            continue
        text, runes = text + more, runes + len(name) + len(label)
    return _sealed(value, unix_s, text)


def pack_span(value: float, unix_s: float, trace_id: int, span_id: int) -> bytes:
    """What `pack` makes of the labels of a span alone, in a third of the time."""
    return _sealed(value, unix_s, _SPAN % (trace_id, span_id))


def _sealed(value: float, unix_s: float, text: bytes) -> bytes:
    body = _BODY.pack(value, unix_s, len(text), text)
    # 0 marks an empty slot, as new cells are.
    return _CHECKSUM.pack(zlib.crc32(body) or 1) + body


def unpack(slot: bytes, bucket: int) -> Exemplar | None:
    """Decode the exemplar of *bucket*; None where there is none, or it is being written."""
    if len(slot) != SLOT_CELLS * 8:
        return None
    (checksum,) = _CHECKSUM.unpack_from(slot)
    body = slot[_CHECKSUM.size :]
    if not checksum or checksum != (zlib.crc32(body) or 1):
        return None
    value, unix_s, length, text = _BODY.unpack(body)
    parts = text[:length].decode("utf-8", "surrogatepass").split("\0")
    labels: dict[str, Any] = dict(zip(map(_unescape, parts[0::2]), map(_unescape, parts[1::2]), strict=False))
    trace_id, span_id = labels.pop("trace_id", ""), labels.pop("span_id", "")
    return Exemplar(bucket, value, unix_s, trace_id, span_id, tuple(sorted(labels.items())))


def _escape(text: str) -> str:
    """No NUL is left, which is what separates names and values."""
    return text.replace("\\", "\\\\").replace("\0", "\\0")


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: _UNESCAPED.get(found[1], found[0]), text) if "\\" in text else text


def labels_of(exemplar: Exemplar) -> dict[str, str]:
    """The labels as they were given to `pack`."""
    labels = {name: str(value) for name, value in exemplar.attributes}
    if exemplar.trace_id:
        labels["trace_id"] = exemplar.trace_id
    if exemplar.span_id:
        labels["span_id"] = exemplar.span_id
    return labels


def latest(exemplars: Iterable[Exemplar]) -> list[Exemplar]:
    """Of each bucket the latest exemplar."""
    by_bucket: dict[int, Exemplar] = {}
    for exemplar in exemplars:
        known = by_bucket.get(exemplar.bucket)
        if known is None or known.unix_s <= exemplar.unix_s:
            by_bucket[exemplar.bucket] = exemplar
    return [by_bucket[bucket] for bucket in sorted(by_bucket)]
