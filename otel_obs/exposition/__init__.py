"""Families to bytes: what a scraper reads, in the format that it asks for.

format = negotiate(accept)
body = b"".join(render(snapshot, format, options))
headers = {"Content-Type": format.content_type}
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from otel_obs.cells.snapshot import Snapshot
from otel_obs.exposition import text
from otel_obs.exposition.names import Naming, family_name
from otel_obs.exposition.negotiate import OPENMETRICS, PROTOBUF, TEXT, Format, negotiate
from otel_obs.exposition.plan import DEFAULT_OPTIONS, Options, plan, restrict

__all__ = [
    "DEFAULT_OPTIONS",
    "OPENMETRICS",
    "PROTOBUF",
    "TEXT",
    "Format",
    "Options",
    "family_name",
    "negotiate",
    "render",
]


def render(
    snapshot: Snapshot,
    format: Format = TEXT,
    options: Options = DEFAULT_OPTIONS,
    names: Collection[str] | None = None,
) -> Iterator[bytes]:
    """Write *snapshot* in *format*.

    Args:
        snapshot: What a scrape read.
        format: What `negotiate` chose.
        options: The service's choices.
        names: Names of samples; only families that have one of them are written (`name[]`). None is all.

    Yields:
        Chunks of about a millisecond's work each, to join, or to stream with a pause after each. **Some
        are empty**: skip these when writing to a socket, where an empty chunk can mean the end.
    """
    naming = Naming(options.translation, format.escaping).normal()
    families = plan(snapshot, options, naming, is_openmetrics=format.syntax == "openmetrics")
    if names is not None:
        families = restrict(families, names, format.syntax == "openmetrics")
    return text.encode(families, naming)
