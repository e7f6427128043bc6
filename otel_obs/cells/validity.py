"""Checks of what is read from other processes' files: made once while decoding, and relied on afterwards.

A checksum shows that the bytes are undamaged; it does not show who wrote them, or in which version.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from otel_obs.cells.attributes import Attributes, decode_attributes

MAX_DEPTH = 64
"""How deep an attribute's value may be nested: the reader may have little stack left."""

MAX_RECORD_BYTES = 4 << 20
MAX_BOUNDS = 10_000
MAX_BUCKETS = 10_000
"""The most buckets on one side of an exponential histogram."""

_SCALES = range(-11, 21)
"""Below, a bucket's bound is no float; above, an index may not be whole."""

_MAX_INDEX = 1 << 32
_MAX_COUNT = float(1 << 63)


class InvalidError(Exception):
    """No worker can have written what was read; the message names the fault."""


def demand(is_right: bool, reason: str) -> None:
    """Refuse what is being read, unless *is_right*.

    Raises:
        InvalidError: *is_right* is false; the message is *reason*.
    """
    if not is_right:
        raise InvalidError(reason)


def demand_shallow(data: bytes) -> None:
    """Refuse JSON that is nested so deep that a decoder may run out of stack.

    Raises:
        InvalidError: It is nested too deep.
    """
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    depth, is_text, is_escaped = 0, False, False
    for byte in data:
        if is_text:
            is_escaped, is_text = byte == 0x5C and not is_escaped, byte != 0x22 or is_escaped
        elif byte == 0x22:
            is_text = True
        elif byte in b"[{":
            depth += 1
            demand(depth <= MAX_DEPTH, "a record is nested too deep")
        elif byte in b"]}":
            depth -= 1


def demand_texts(values: Sequence[Any], *, or_none: bool = False) -> None:
    """Refuse values that are no texts.

    Raises:
        InvalidError: One of *values* is no text.
    """
    demand(all(type(value) is str or (or_none and value is None) for value in values), "a name is no text")


def demand_pairs(data: Any) -> None:
    """Refuse decoded JSON that is no list of attributes.

    Raises:
        InvalidError: It is no such list.
    """
    demand(
        type(data) is list
        and all(type(pair) is list and len(pair) == 2 and type(pair[0]) is str for pair in data),
        "attributes are no pairs",
    )


def demand_finite(values: Any) -> None:
    """Refuse what is no list of finite numbers.

    Raises:
        InvalidError: It is no such list.
    """
    demand(
        type(values) is list
        and len(values) <= MAX_BOUNDS
        and all(type(value) in (int, float) and math.isfinite(value) for value in values),
        "bounds are no finite numbers",
    )


def demand_ascending(bounds: Sequence[float]) -> None:
    """Refuse bounds of a histogram that do not ascend.

    Raises:
        InvalidError: They do not ascend.
    """
    demand(all(low < high for low, high in pairwise(bounds)), "bounds do not ascend")


def demand_size_and_scale(bounds: Sequence[float]) -> None:
    """Refuse what cannot be the size and the scale of an exponential histogram.

    Raises:
        InvalidError: They are no such pair.
    """
    demand(
        len(bounds) == 2 and 1 <= bounds[0] <= MAX_BUCKETS and -_MAX_INDEX < bounds[1] < _MAX_INDEX,
        "an exponential histogram has no such size and scale",
    )


def is_count(value: float) -> bool:
    """Whether a cell can hold so many measurements."""
    return 0.0 <= value < _MAX_COUNT


def is_scale(value: float) -> bool:
    """Whether an exponential histogram can have that scale."""
    return value in _SCALES


def is_index(value: float) -> bool:
    """Whether a bucket of an exponential histogram can have that index."""
    return -_MAX_INDEX < value < _MAX_INDEX and value == int(value)


def decode_checked(data: bytes) -> Attributes:
    """The attributes that *data* encodes.

    Raises:
        InvalidError: *data* encodes no attributes.
    """
    demand_shallow(data)
    try:
        demand_pairs(json.loads(data))
        attributes = decode_attributes(data)
        hash(attributes)
    except (ValueError, TypeError, LookupError) as error:
        raise InvalidError("attributes are not understood") from error
    return attributes
