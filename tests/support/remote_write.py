"""Prometheus remote write 1.0 as values: snappy's block format, and the public messages of prompb."""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "prometheus"
_FIELD = descriptor_pb2.FieldDescriptorProto
_MESSAGES = {
    "Label": "1 string name, 2 string value",
    "Sample": "1 double value, 2 int64 timestamp",
    "Exemplar": "1 *Label labels, 2 double value, 3 int64 timestamp",
    "TimeSeries": "1 *Label labels, 2 *Sample samples, 3 *Exemplar exemplars, 4 *bytes histograms",
    "MetricMetadata": "1 int32 type, 2 string metric_family_name, 4 string help, 5 string unit",
    "WriteRequest": "1 *TimeSeries timeseries, 3 *MetricMetadata metadata",
}
_SCALARS = {
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "double": _FIELD.TYPE_DOUBLE,
    "int64": _FIELD.TYPE_INT64,
    "int32": _FIELD.TYPE_INT32,
}

Pairs = tuple[tuple[str, str], ...]


class Exemplar(NamedTuple):
    """A measurement with the trace that it was made in."""

    labels: Pairs
    value: float
    timestamp_ms: int


class Series(NamedTuple):
    """What one request says of one series: its labels as they were sent, and (milliseconds, value) pairs."""

    labels: Pairs
    samples: list[tuple[int, float]]
    exemplars: list[Exemplar]


class Write(NamedTuple):
    """One request."""

    series: list[Series]
    metadata: dict[str, tuple[int, str, str]]
    """Type, help and unit by family."""


def decode(body: bytes) -> Write:
    """Read the body of a request.

    Raises:
        ValueError: It is not snappy, or not the message.
    """
    try:
        request = _WRITE_REQUEST.FromString(unsnappy(body))
    except Exception as error:
        raise ValueError(f"not a remote write request: {error}") from error
    series = [
        Series(
            _pairs(each.labels),
            [(sample.timestamp, sample.value) for sample in each.samples],
            [Exemplar(_pairs(one.labels), one.value, one.timestamp) for one in each.exemplars],
        )
        for each in request.timeseries
    ]
    metadata = {one.metric_family_name: (one.type, one.help, one.unit) for one in request.metadata}
    return Write(series, metadata)


def _pairs(labels: Any) -> Pairs:
    return tuple((label.name, label.value) for label in labels)


def unsnappy(data: bytes) -> bytes:
    """Decompress snappy's block format.

    Raises:
        ValueError: The result has not the announced length.

    Source: google/snappy, format_description.txt.
    """
    length, at = _varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        kind, size = tag & 3, tag >> 2
        if kind == 0:
            if size >= 60:
                extra = size - 59
                size = int.from_bytes(data[at : at + extra], "little")
                at += extra
            out += data[at : at + size + 1]
            at += size + 1
            continue
        if kind == 1:
            size, offset = (size & 7) + 4, (tag >> 5) << 8 | data[at]
            at += 1
        else:
            width = 2 if kind == 2 else 4
            size, offset = size + 1, int.from_bytes(data[at : at + width], "little")
            at += width
        _copy(out, offset, size)
    if len(out) != length:
        raise ValueError(f"snappy announced {length} bytes and holds {len(out)}")
    return bytes(out)


def _copy(out: bytearray, offset: int, size: int) -> None:
    start = len(out) - offset
    if offset <= 0 or start < 0:
        raise ValueError("snappy copies from before the start")
    for _ in range(size // offset):
        out += out[start : start + offset]
    out += out[start : start + size % offset]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _write_request() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="prompb.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields.split(", "):
            number, kind, field_name = field.split(" ")
            repeated, kind = kind.startswith("*"), kind.lstrip("*")
            added = message.field.add(
                name=field_name,
                number=int(number),
                label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL,
            )
            if kind in _SCALARS:
                added.type = _SCALARS[kind]
            else:
                added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.WriteRequest"))


_WRITE_REQUEST = _write_request()
