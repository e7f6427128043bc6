"""What a service's own page says of the names that its settings gave: namespace, profile, labels, bounds."""

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
"""Families that tell the namespace before them, one of each profile."""
OWN = "otel_obs_"
"""Begins families that every page of ours has; without them a prefix is somebody else's name."""

_ADDED = re.compile(r"le|quantile|otel_scope_\w+")
_VALUES: Mapping[str, re.Pattern[str]] = {
    "method": re.compile(r"[A-Z_]+"),
    "status_code": re.compile(r"\d{3}|[1-5]xx"),
    "endpoint": re.compile(r"/.*|__\w+__|$"),
}
"""What the values of a label of requests look like, where several were given another name."""


class Recognised(NamedTuple):
    """The naming of a page, and the families of the catalog that it shows by their classic names."""

    naming: Naming
    families: frozenset[str]


def recognise(page: ScrapedPage, naming: Naming | None = None) -> Recognised:
    """Find the naming under which most families of the catalog are on a page.

    Args:
        page: The page.
        naming: What is known of it; only its labels and bounds are completed then.
    """
    namings = [naming] if naming is not None else list(_possible(page))
    found = [Recognised(each, frozenset(_shown(page, each))) for each in namings]
    best = max(found, key=lambda each: len(each.families))
    return best._replace(naming=_completed(page, best))


def service_name_on(page: ScrapedPage) -> str:
    """What the page says of its service's name, in `target_info`; "" where it does not."""
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
    """The naming with the labels and bounds that the page has, where the naming says nothing of them."""
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
    """Labels that are not called as declared, by their declared names; nothing where it cannot be known."""
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
