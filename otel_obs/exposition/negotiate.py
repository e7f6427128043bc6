"""Which format a scraper gets, by its `Accept` header.

Source: Prometheus, Scrape protocol content negotiation; RFC 9110, 12.5.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Literal, NamedTuple

from otel_obs.exposition.lexical import Escaping

Syntax = Literal["text", "openmetrics", "protobuf"]


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write an exposition."""

    syntax: Syntax = "text"
    version: str = "0.0.4"
    escaping: Escaping = "underscores"

    @property
    def media_type(self) -> str:
        """The `Content-Type` without `charset`, for frameworks that add it themselves."""
        return self._content_type("")

    @property
    def content_type(self) -> str:
        """The `Content-Type` to serve; texts announce `charset=utf-8`."""
        return self._content_type("" if self.syntax == "protobuf" else "; charset=utf-8")

    def _content_type(self, charset: str) -> str:
        # 0.0.x knows no escaping: it is only named there when a scraper asked for another than the default.
        has_escaping = self.version == "1.0.0" or self.escaping != "underscores"
        escaping = f"; escaping={self.escaping}" if has_escaping else ""
        version = f"; version={self.version}" if self.version else ""
        return f"{_MEDIA_TYPES[self.syntax]}{version}{charset}{escaping}"


TEXT = Format()
OPENMETRICS = Format("openmetrics", "1.0.0")
PROTOBUF = Format("protobuf", "")

_PROTOBUF = "application/vnd.google.protobuf"
_MESSAGE = "io.prometheus.client.MetricFamily"
_MEDIA_TYPES: dict[Syntax, str] = {
    "text": "text/plain",
    "openmetrics": "application/openmetrics-text",
    "protobuf": f"{_PROTOBUF}; proto={_MESSAGE}; encoding=delimited",
}
_VERSIONS: dict[Syntax, tuple[str, ...]] = {
    "text": ("0.0.4", "1.0.0"),
    "openmetrics": ("1.0.0", "0.0.1"),
}
_ESCAPINGS: dict[str, Escaping] = {
    "underscores": "underscores",
    "allow-utf-8": "allow-utf-8",
    "allow-utf8": "allow-utf-8",  # as Prometheus' documentation had it for a while
    "dots": "dots",
    "values": "values",
}
_WILDCARDS = {
    "*/*": (TEXT, OPENMETRICS, PROTOBUF),
    "text/*": (TEXT,),
    "application/*": (OPENMETRICS, PROTOBUF),
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


def negotiate(accept: str | None) -> Format:
    """Choose a format by an `Accept` header.

    The one with the highest q-value that otel_obs can write, the earlier of equals. Text 0.0.4 with
    underscores where there is no header, or nothing in it can be written.

    Args:
        accept: The header's value; several headers are joined by commas. None and "" are no header.
    """
    return _negotiate((accept or "")[:MAX_CHARACTERS])


@lru_cache(maxsize=64)
def _negotiate(accept: str) -> Format:
    accepted = sorted(islice(_accepted(accept), MAX_RANGES), key=lambda one: -one.quality)
    for one in accepted:
        if one.quality > 0:
            for candidate in _candidates(one, accepted):
                return candidate
    return TEXT


def _candidates(accepted: _AcceptRange, others: list[_AcceptRange]) -> Iterator[Format]:
    """What a media range covers, the best first, but for what a more specific one speaks of too."""
    for candidate in _covered(accepted):
        named = (one for one in others if candidate in _covered(one))
        if max(named, key=_specificity).quality == accepted.quality:
            yield candidate


def _covered(accepted: _AcceptRange) -> tuple[Format, ...]:
    wild = _WILDCARDS.get(accepted.media)
    if wild is not None:
        return wild
    found = _format(accepted)
    return (found,) if found else ()


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


def _format(accepted: _AcceptRange) -> Format | None:
    """The format that a media range names, if otel_obs can write it."""
    media, parameters, _ = accepted
    escaping = _ESCAPINGS.get(parameters.get("escaping", ""), "underscores")
    if media == _PROTOBUF:
        is_ours = parameters.get("proto") == _MESSAGE and parameters.get("encoding") == "delimited"
        return Format("protobuf", "", escaping) if is_ours else None
    for syntax, versions in _VERSIONS.items():
        if media == _MEDIA_TYPES[syntax]:
            version = parameters.get("version") or versions[0]
            return Format(syntax, version, escaping) if version in versions else None
    return None
