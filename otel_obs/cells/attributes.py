"""Attributes in canonical order and form, which identify a series, and their encoding."""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from sys import intern
from typing import Any

AttributeValue = (
    str
    | bool
    | int
    | float
    | bytes
    | None
    | tuple["AttributeValue", ...]
    | tuple[tuple[str, "AttributeValue"], ...]
)
Attributes = tuple[tuple[str, AttributeValue], ...]
"""The identity of a series: sorted by key, and immutable."""

AttributeMapping = Mapping[str, Any]
"""Attributes as callers pass them."""

_DEEPEST = 16
"""Values that are nested deeper become text: a decoder may have little stack left."""


LONGEST = 2048
"""Characters of a key or a value that are kept: the limit of Prometheus' remote stores for a label."""

_CUT = "\u2026"


def canonical(attributes: Mapping[str, Any] | None) -> Attributes:
    """Sort *attributes* by key and freeze their values; equal results are the same series.

    Of a key or a value that is longer than `LONGEST`, the beginning is kept (`has_too_long` tells).

    Compare the encoded form (`encode_attributes`), not the tuples: in Python `1 == True == 1.0`.
    """
    if not attributes:
        return ()
    return tuple(
        (_short(str(key)), _short_form(frozen(attributes[key]))) for key in sorted(attributes, key=str)
    )


def has_too_long(attributes: Mapping[str, Any]) -> bool:
    """Whether `canonical` cuts a key or a value of *attributes*."""
    return any(
        len(str(key)) > LONGEST or _short_form(value) is not value for key, value in attributes.items()
    )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - len(_CUT)] + _CUT


def _short_form(value: Any) -> Any:
    """*value* itself, or the beginning of the text that it would be shown as."""
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, bytes):
        # Shown in base64, which takes four characters for three bytes.
        return value if len(value) <= LONGEST * 3 // 4 else value[: LONGEST * 3 // 4]
    if isinstance(value, (tuple, list, Mapping)):
        text = json.dumps(tagged(frozen(value)), ensure_ascii=False)
        return value if len(text) <= LONGEST else _short(text)
    return value


def label_value(value: AttributeValue) -> str:
    """Spell an attribute's value: strings as they are, `true`, `1.5`, `["a", "b"]`, bytes in base64.

    Source: OpenTelemetry specification, AnyValue representation for non-OTLP protocols.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, tuple):
        return json.dumps(_json_item(value), ensure_ascii=False)
    return json.dumps(value)


def encode_attributes(attributes: Attributes) -> bytes:
    """Canonical JSON of *attributes*: the identity of a series, in which 1, 1.0, True and "1" differ."""
    return json.dumps([[key, tagged(value)] for key, value in attributes], separators=(",", ":")).encode()


def decode_attributes(data: bytes) -> Attributes:
    """The inverse of `encode_attributes`. Keys are interned, since many series share them."""
    return tuple([(intern(str(key)), _untagged(value)) for key, value in json.loads(data)])


def _json_item(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    # As text, since JSON has no such numbers.
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    if not isinstance(value, tuple):
        return value
    if value and all(_is_member(item) for item in value):
        return {key: _json_item(item) for key, item in value}
    return [_json_item(item) for item in value]


def _is_member(item: Any) -> bool:
    """Whether *item* looks like a frozen mapping's: attributes hold mappings as tuples of pairs."""
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)


def frozen(value: Any, depth: int = 1) -> AttributeValue:
    """*value* as something that cannot change, in canonical form."""
    if value is None or isinstance(value, (str, bool, int, float, bytes)):
        return value
    if depth < _DEEPEST:
        if isinstance(value, Mapping):
            return tuple((str(key), frozen(value[key], depth + 1)) for key in sorted(value, key=str))
        if isinstance(value, Sequence):
            return tuple(frozen(item, depth + 1) for item in value)
    return str(value)


def tagged(value: Any) -> Any:
    """*value* in JSON's types: bytes, which JSON lacks, become base64 in a mapping that marks them."""
    if isinstance(value, bytes):
        return {"b": b64encode(value).decode()}
    if isinstance(value, tuple):
        return [tagged(item) for item in value]
    return value


def _untagged(value: Any) -> AttributeValue:
    if isinstance(value, dict):
        return b64decode(value["b"])
    if isinstance(value, list):
        return tuple(_untagged(item) for item in value)
    return value  # type: ignore[no-any-return]


OVERFLOW = encode_attributes((("otel.metric.overflow", True),))
"""The series for measurements beyond a stream's limit. Source: OpenTelemetry metrics SDK specification."""


def is_itself(value: object) -> bool:
    """Whether every equal value of the same type has the same text.

    Not so for 0.0 and -0.0, nor for tuples, decimals and other objects: equal ones may have two texts.
    """
    kind = type(value)
    return kind is str or kind is int or kind is bool or (kind is float and value != 0.0)
