"""Families to bytes: what a scraper reads, in the format that it asks for.

```
format = negotiate(accept)
body = b"".join(render(snapshot, format, options))
headers = {"Content-Type": format.content_type}
```
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from otel_obs.cells.snapshot import Snapshot
from otel_obs.exposition import openmetrics
from otel_obs.exposition.claims import settle
from otel_obs.exposition.from_client import ClientMetric, load
from otel_obs.exposition.names import Spelling, family_name
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
    others: Iterable[ClientMetric] = (),
    names: Collection[str] | None = None,
) -> Iterator[bytes]:
    """Write *snapshot* in *format*.

    Args:
        snapshot: What a scrape read.
        format: What `negotiate` chose.
        options: The service's choices.
        others: What collectors of prometheus_client yield (`REGISTRY.collect()`), to stand beside ours;
            ours win a name, but for those of yielding scopes.
        names: Names of samples; only families that have one of them are written (`name[]`). None is all.

    Yields:
        Chunks of about a millisecond's work each, to join, or to stream with a pause after each. **Some
        are empty**: skip these when writing to a socket, where an empty chunk can mean the end.
    """
    naming = Spelling(options.translation, format.escaping).normal()
    is_openmetrics = format.wire is openmetrics.WIRE
    foreign = load(others, format.escaping)
    families = plan(snapshot, options, naming, {family.name for family in foreign})
    families, foreign = settle(families, foreign, is_openmetrics)
    if names is not None:
        families = restrict(families, names, is_openmetrics)
        foreign = restrict(foreign, names, is_openmetrics)
    return format.wire.encode(families, foreign, naming)
