"""What tells series apart: attributes in canonical order and form, and their encoding."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from sys import intern
from typing import Any

Value = str | bool | int | float | bytes | None | tuple["Value", ...] | tuple[tuple[str, "Value"], ...]
Attributes = tuple[tuple[str, Value], ...]


def canonical(attributes: Mapping[str, Any] | None) -> Attributes:
    """Sort *attributes* by key and freeze their values; equal results are the same series.

    Compare the encoded form (`encode_attributes`), not the tuples: in Python `1 == True == 1.0`.
    """
    if not attributes:
        return ()
    return tuple((str(key), _freeze(attributes[key])) for key in sorted(attributes, key=str))


def encode_attributes(attributes: Attributes) -> bytes:
    """Canonical JSON of *attributes*: the identity of a series, in which 1, 1.0, True and "1" differ."""
    return json.dumps([[key, tagged(value)] for key, value in attributes], separators=(",", ":")).encode()


def decode_attributes(data: bytes) -> Attributes:
    """The inverse of `encode_attributes`. A key is one object in all series, which are many."""
    return tuple([(intern(str(key)), _untagged(value)) for key, value in json.loads(data)])


def _freeze(value: Any) -> Value:
    if value is None or isinstance(value, (str, bool, int, float, bytes)):
        return value
    if isinstance(value, Mapping):
        return tuple((str(key), _freeze(value[key])) for key in sorted(value, key=str))
    if isinstance(value, Sequence):
        return tuple(_freeze(item) for item in value)
    return str(value)


def tagged(value: Any) -> Any:
    """*value* as JSON has it: bytes, which JSON has not, in base64 and marked."""
    if isinstance(value, bytes):
        return {"b": b64encode(value).decode()}
    if isinstance(value, tuple):
        return [tagged(item) for item in value]
    return value


def _untagged(value: Any) -> Value:
    if isinstance(value, dict):
        return b64decode(value["b"])
    if isinstance(value, list):
        return tuple(_untagged(item) for item in value)
    return value  # type: ignore[no-any-return]
