"""Which format a scraper gets, by its `Accept` header.

Source: Prometheus, Scrape protocol content negotiation; RFC 9110, 12.5.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from otel_obs.exposition import openmetrics, openmetrics2, protobuf, text
from otel_obs.exposition.lexical import Escaping
from otel_obs.exposition.wire_format import WireFormat

WIRE_FORMATS = {row.name: row for row in (text.WIRE, openmetrics.WIRE, openmetrics2.WIRE, protobuf.WIRE)}
"""Every format that can be written; of equally wanted ones the earlier is chosen."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write an exposition: a row of `WIRE_FORMATS`, in a version, with an escaping."""

    syntax: str = text.WIRE.name
    version: str = text.WIRE.versions[0]
    escaping: Escaping = "underscores"

    @property
    def wire(self) -> WireFormat:
        """The row of the format in `WIRE_FORMATS`."""
        return WIRE_FORMATS[self.syntax]

    @property
    def media_type(self) -> str:
        """The `Content-Type` without `charset`, for frameworks that add it themselves."""
        return self.wire.content_type(self.version, "", self.escaping)

    @property
    def content_type(self) -> str:
        """The `Content-Type` to serve; texts announce `charset=utf-8`."""
        return self.wire.content_type(self.version, self.wire.charset, self.escaping)


def _default(wire: WireFormat) -> Format:
    return Format(wire.name, wire.versions[0] if wire.versions else "")


TEXT, OPENMETRICS, PROTOBUF = map(_default, (text.WIRE, openmetrics.WIRE, protobuf.WIRE))

_ESCAPINGS: dict[str, Escaping] = {
    "underscores": "underscores",
    "allow-utf-8": "allow-utf-8",
    "allow-utf8": "allow-utf-8",  # as Prometheus' documentation had it for a while
    "dots": "dots",
    "values": "values",
}
MAX_RANGES = 64
"""Scrapers name a handful of media types; what comes after so many is not looked at."""

MAX_CHARACTERS = 4096
"""What a scraper sends is a tenth of this; what comes after so much of a header is not looked at."""


_ESCAPED = re.compile(r"\\(.)")


class _AcceptRange(NamedTuple):
    media: str
    parameters: dict[str, str]
    quality: float


def negotiate(accept: str | None, has_experimental: bool = False) -> Format:
    """Choose a format by an `Accept` header.

    The one with the highest q-value that otel_obs can write, the earlier of equals. Text 0.0.4 with
    underscores where there is no header, or nothing in it can be written.

    Args:
        accept: The header's value; several headers are joined by commas. None and "" are no header.
        has_experimental: Whether formats whose specification is no standard yet may be chosen.
    """
    return _negotiate((accept or "")[:MAX_CHARACTERS], has_experimental)


@lru_cache(maxsize=64)
def _negotiate(accept: str, has_experimental: bool) -> Format:
    accepted = sorted(islice(_accepted(accept), MAX_RANGES), key=lambda one: -one.quality)
    for one in accepted:
        if one.quality > 0:
            for candidate in _candidates(one, accepted):
                if has_experimental or not candidate.wire.is_experimental:
                    return candidate
    return TEXT


def _candidates(accepted: _AcceptRange, others: list[_AcceptRange]) -> Iterator[Format]:
    """The formats that a media range covers, the best first, unless a more specific range decides them."""
    for candidate in _covered(accepted):
        named = (one for one in others if candidate in _covered(one))
        if max(named, key=_specificity).quality == accepted.quality:
            yield candidate


def _covered(accepted: _AcceptRange) -> Iterator[Format]:
    """The formats that a media range names: one, or with `*` all of a kind, as they are by default."""
    kind, _, subtype = accepted.media.partition("/")
    escaping = _ESCAPINGS.get(accepted.parameters.get("escaping", ""), "underscores")
    for wire in WIRE_FORMATS.values():
        if accepted.media == wire.media:
            version = wire.version_of(accepted.parameters)
            if version is not None:
                yield Format(wire.name, version, escaping)
        elif subtype == "*" and not wire.is_experimental and kind in ("*", wire.media.partition("/")[0]):
            yield _default(wire)


def _specificity(accepted: _AcceptRange) -> int:
    return -accepted.media.count("*")


def _accepted(accept: str) -> Iterator[_AcceptRange]:
    for media_range in _split(accept, ","):
        first, *rest = _split(media_range, ";")
        media = first.strip().lower()
        parameters = dict(map(_parameter, rest))
        if media:
            yield _AcceptRange(media, parameters, _quality(parameters.get("q", "1")))


def _split(text: str, separator: str) -> list[str]:
    """Split at what is not within quotes; a quote that is never closed is a character like any other.

    Each character is looked at once: a regular expression would begin anew at each quote.
    """
    ends: list[int] = []
    quoted: list[int] = []
    is_quoted = is_escaped = False
    for at, character in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif character == '"':
            is_quoted = not is_quoted
            quoted.clear()
        elif character == "\\":
            is_escaped = is_quoted
        elif character == separator:
            (quoted if is_quoted else ends).append(at)
    ends += quoted
    return [
        text[start:end] for start, end in zip([0, *(end + 1 for end in ends)], [*ends, None], strict=True)
    ]


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    value = value.strip()
    if value.startswith('"') and value.endswith('"') and len(value) > 1:
        value = _ESCAPED.sub(r"\1", value[1:-1])
    return name.strip().lower(), value


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
