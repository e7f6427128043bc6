"""The description of a wire format: its media type for `Accept` and `Content-Type`, and its encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from otel_obs.exposition.from_client import OtherFamily
from otel_obs.exposition.names import Spelling
from otel_obs.exposition.plan import Family

Encoder = Callable[[Iterable[Family], Iterable[OtherFamily], Spelling], Iterator[bytes]]


@dataclass(frozen=True)
class WireFormat:
    """One wire format: the row of its module.

    Attributes:
        name: How otel_obs calls it.
        media: Its media type.
        encode: Writes it. Families that come from `prometheus_client` follow ours.
        versions: Those that it can be written in, the default first; () where the format has no version.
        escaped_versions: Those that always announce how names are escaped.
        parameters: What a media range must say besides, and `Content-Type` repeats.
        charset: What a text is encoded in; "" where the format is no text.
        is_experimental: Whether it is written only where the service allows it, for who names its version.
    """

    name: str
    media: str
    encode: Encoder
    versions: tuple[str, ...] = ()
    escaped_versions: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    charset: str = ""
    is_experimental: bool = False

    def version_of(self, parameters: Mapping[str, str]) -> str | None:
        """The version to write for a media range with these parameters; None where it cannot be written."""
        if any(parameters.get(name) != value for name, value in self.parameters.items()):
            return None
        if not self.versions:
            return ""
        version = parameters.get("version") or ("" if self.is_experimental else self.versions[0])
        return version if version in self.versions else None

    def content_type(self, version: str, charset: str, escaping: str) -> str:
        """The `Content-Type`; a version without escaping names one only when asked for another."""
        told = dict(self.parameters)
        if version:
            told["version"] = version
        if charset:
            told["charset"] = charset
        if version in self.escaped_versions or escaping != "underscores":
            told["escaping"] = escaping
        return "; ".join((self.media, *(f"{name}={value}" for name, value in told.items())))
