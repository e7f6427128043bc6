"""Infer a service's naming from its own page: namespace, profile, labels and bounds."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from otel_obs.catalog import metrics
from otel_obs.catalog.kit.naming import Declaration, Naming
from otel_obs.exposition.names import sanitize_label
from otel_obs.reading.lines import read_number
from otel_obs.reading.page import ScrapedFamily, ScrapedPage

ANCHORS = ("http_requests_total", "http_server_request_duration_seconds")
"""A family of each profile whose prefix on a page is the namespace."""
OWN = "otel_obs_"
"""The prefix of families that every otel_obs page has; on a page without them, no namespace is inferred."""

_ADDED = re.compile(r"le|quantile|otel_scope_\w+")
_VALUES: Mapping[str, re.Pattern[str]] = {
    "method": re.compile(r"[A-Z_]+"),
    "status_code": re.compile(r"\d{3}|[1-5]xx"),
    "endpoint": re.compile(r"/.*|__\w+__|$"),
}
"""The form of a label's values, to tell labels apart where several were renamed."""


class Recognised(NamedTuple):
    """The naming of a page, and the families of the catalog that it shows by their classic names."""

    naming: Naming
    families: frozenset[str]


def recognise(page: ScrapedPage, naming: Naming | None = None) -> Recognised:
    """Find the naming under which most families of the catalog are on a page.

    Args:
        page: The page.
        naming: The naming, if it is known; then only its labels and bounds are completed.
    """
    namings = [naming] if naming is not None else list(_possible(page))
    found = [Recognised(each, frozenset(_shown(page, each))) for each in namings]
    best = max(found, key=lambda each: len(each.families))
    return best._replace(naming=_completed(page, best))


def service_name_on(page: ScrapedPage) -> str:
    """The service name in `target_info`; "" where the page has none, or several."""
    family = page.families.get("target_info")
    names = {sample.labels.get("service_name", "") for sample in family.samples} if family else set()
    return names.pop() if len(names) == 1 else ""


def _possible(page: ScrapedPage) -> Iterator[Naming]:
    yield from (Naming(), Naming(profile="semconv"))
    if not any(name.startswith(OWN) for name in page.families):
        return
    for anchor, profile in zip(ANCHORS, ("classic", "semconv"), strict=True):
        for name in sorted(page.families):
            if name.endswith(f"_{anchor}"):
                yield Naming(namespace=name.removesuffix(f"_{anchor}"), profile=profile)


def _rows() -> Iterator[Declaration]:
    return (metric.declaration for _, metric in metrics())


def _shown(page: ScrapedPage, naming: Naming) -> Iterator[str]:
    for row in _rows():
        name = naming.apply(row).family
        if name in page.families or name.removesuffix("_count") in page.families:
            yield row.family


def _completed(page: ScrapedPage, found: Recognised) -> Naming:
    """The naming, completed by labels and bounds of the page that it does not set."""
    naming = found.naming
    labels, buckets = dict(naming.labels), dict(naming.buckets)
    for row in _rows():
        family = page.families.get(naming.apply(row).family)
        if row.family not in found.families or family is None:
            continue
        labels.update(_renamed(row, family, naming._replace(labels=labels)))
        bounds = _bounds(family)
        if bounds and bounds != naming.apply(row).bounds:
            buckets.setdefault(row.family, bounds)
    return naming._replace(labels=labels, buckets=buckets)


def _renamed(row: Declaration, family: ScrapedFamily, naming: Naming) -> Iterator[tuple[str, str]]:
    """Renamed labels, by their declared names; none where the match is ambiguous."""
    values: dict[str, set[str]] = {}
    for sample in family.samples:
        for label, value in sample.labels.items():
            values.setdefault(label, set()).add(value)
    named = naming.apply(row)
    exposed = {key: sanitize_label(named.accepts[key].name) for key in row.attributes}
    missing = [key for key, label in exposed.items() if label and label not in values] if values else []
    extra = [label for label in values if label not in named.labels and not _ADDED.fullmatch(label)]
    for key in missing:
        pattern = _VALUES.get(key)
        like = [e for e in extra if pattern is None or all(map(pattern.fullmatch, values[e]))]
        if len(like) == 1 and (pattern is not None or len(missing) == 1):
            yield key, like[0]


def _bounds(family: ScrapedFamily) -> tuple[float, ...]:
    """The finite upper bounds of a histogram's buckets, ascending."""
    found = set()
    for sample in family.samples:
        with contextlib.suppress(KeyError, ValueError):
            found.add(read_number(sample.labels["le"]))
    return tuple(sorted(filter(math.isfinite, found)))
