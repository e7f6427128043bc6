"""OpenMetrics 2.0.0-rc0. Few services allow it, so that its encoder is loaded when it is first used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from otel_obs.exposition.from_client import OtherFamily
from otel_obs.exposition.names import Spelling
from otel_obs.exposition.plan import Family
from otel_obs.exposition.wire_format import WireFormat


def encode(families: Iterable[Family], others: Iterable[OtherFamily], naming: Spelling) -> Iterator[bytes]:
    """Encode *families*, then *others*; the chunks are meant to be joined or streamed, some are empty."""
    from otel_obs.exposition import openmetrics2_lines

    return openmetrics2_lines.encode(families, others, naming)


WIRE = WireFormat(
    "openmetrics2",
    "application/openmetrics-text",
    encode,
    versions=("2.0.0",),
    escaped_versions=("2.0.0",),
    charset="utf-8",
    is_experimental=True,
)
