"""Parse delimited protobuf as far as needed to see that it is complete: the families and their types.

Source: io.prometheus.client.MetricFamily, metrics.proto of client_model.
"""

from __future__ import annotations

from collections.abc import Iterator

TYPES = ("counter", "gauge", "summary", "unknown", "histogram", "gaugehistogram")

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NAME, _TYPE, _METRIC = 1, 3, 4
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}


class ProtobufError(ValueError):
    """The message is not valid protobuf, or not complete; the text says where."""


def read_family_types(body: bytes) -> dict[str, str]:
    """The type of each family, by its name.

    Raises:
        ProtobufError: The body is not a sequence of complete families.
    """
    found: dict[str, str] = {}
    position = 0
    while position < len(body):
        size, start = _varint(body, position)
        position = start + size
        if position > len(body):
            raise ProtobufError(f"the family at byte {start} is cut off")
        name, kind = _read_family(body, start, position)
        if name in found:
            raise ProtobufError(f"the family {name!r} is there twice")
        found[name] = kind
    return found


def _read_family(body: bytes, start: int, end: int) -> tuple[str, str]:
    name, kind = "", 0
    for number, value in _fields(body, start, end):
        if number == _NAME and isinstance(value, tuple):
            name = _text(body[slice(*value)], value[0])
        elif number == _TYPE and isinstance(value, int):
            kind = value
        elif number == _METRIC and isinstance(value, tuple):
            for _ in _fields(body, *value):
                pass
    if not name or kind >= len(TYPES):
        raise ProtobufError(f"the family at byte {start} has the name {name!r} and the type {kind}")
    return name, TYPES[kind]


def _text(data: bytes, position: int) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ProtobufError(f"the name at byte {position} is not UTF-8") from None


def _fields(body: bytes, position: int, end: int) -> Iterator[tuple[int, int | tuple[int, int]]]:
    """The number of each field, with its value: a varint, or the start and end of its bytes in *body*."""
    while position < end:
        key, position = _varint(body, position)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _varint(body, position)
            yield number, value
            continue
        if wire == _BYTES:
            size, position = _varint(body, position)
        elif wire in _FIXED_BYTES:
            size = _FIXED_BYTES[wire]
        else:
            raise ProtobufError(f"a field before byte {position} is of the unknown kind {wire}")
        if position + size > end:
            raise ProtobufError(f"the field at byte {position} is cut off")
        yield number, (position, position + size)
        position += size


def _varint(body: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70 and position < len(body):
        byte = body[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ProtobufError(f"the number before byte {position} does not end")
