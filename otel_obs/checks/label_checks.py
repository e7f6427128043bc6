"""Checks of labels: reserved ones, empty ones, and those that make too many series."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from otel_obs.checks.all_checks import Finding
from otel_obs.checks.evidence import PageEvidence
from otel_obs.reading.page import ScrapedFamily

OWN_LABELS = {"histogram": "le", "gaugehistogram": "le", "summary": "quantile"}
TARGET_LABELS = ("job", "instance")
FEW_IDS = 10
"""From this many different values that look like ids on, a label holds ids; fewer may be a coincidence."""

_ID = re.compile(
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{16,64}|\d{9,20}|[^@\s]{1,64}@[^@\s]{1,255}\.\w{2,24}"
    r"|https?://\S{1,2048}|/[^\s?]{0,2048}\?\S{0,2048}|\d{1,3}(?:\.\d{1,3}){3}|[0-7][0-9A-HJKMNP-TV-Z]{25}"
    r"|(?=[^:]{0,4}:[^:]{0,4}:)[0-9a-fA-F:]{3,39}|\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S{0,32}"
    r"|(?i:SELECT|INSERT|UPDATE|DELETE)\s[^0-9']{0,2048}[0-9'].{0,4096}",
    re.DOTALL,
)
_OF_SOMEBODY = re.compile(
    r"(?:account|client|customer|member|message|order|request|session|span|trace|transaction|user|visitor)_?(?:id)?"
)
"""Labels whose numbers are ids; elsewhere a number may be a core, a port or a status."""
_SEGMENT_ID = re.compile(r"\d+|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{16,64}")
_PATH_LABELS = frozenset({"endpoint", "handler", "path", "route", "http_route", "uri", "url", "view"})


def check_labels(evidence: PageEvidence) -> Iterator[Finding]:
    """The labels of every family."""
    limits = evidence.limits
    for family in evidence.text.page.families.values():
        values = label_values(family)
        yield from _reserved(family, values)
        empty = [label for label, seen in values.items() if "" in seen]
        if empty:
            yield Finding("OBS030", family.name, f"has an empty value in {', '.join(empty)}")
        for label, seen in values.items():
            if len(seen) > limits.label_values:
                yield Finding("OBS041", family.name, f"has {len(seen)} values of the label {label}")
            ids = _ids(label, seen)
            if len(ids) >= FEW_IDS:
                yield Finding(
                    "OBS042", family.name, f"has {len(ids)} ids in the label {label}, such as {min(ids)!r}"
                )
        if "true" in values.get("otel_metric_overflow", ()):
            yield Finding(
                "OBS043", family.name, "has an overflow series: further label values are not told apart"
            )


def label_values(family: ScrapedFamily) -> dict[str, set[str]]:
    """The values of each label of a family, without `le` of a histogram and `quantile` of a summary."""
    own = OWN_LABELS.get(family.type)
    values: defaultdict[str, set[str]] = defaultdict(set)
    for sample in family.samples:
        for label, value in sample.labels.items():
            if label != own:
                values[label].add(value)
    return values


def _reserved(family: ScrapedFamily, values: dict[str, set[str]]) -> Iterator[Finding]:
    for label in values:
        if label.startswith("__") or label in OWN_LABELS.values():
            yield Finding("OBS028", family.name, f"has the reserved label {label}")
        elif label in TARGET_LABELS and family.name != "target_info":
            yield Finding("OBS029", family.name, f"has the label {label}, which Prometheus sets itself")


def _ids(label: str, values: set[str]) -> list[str]:
    if label in _PATH_LABELS:
        return [value for value in values if _ID.fullmatch(value) or _has_id_segment(value)]
    is_of_somebody = _OF_SOMEBODY.fullmatch(label) is not None
    return [v for v in values if _ID.fullmatch(v) or (is_of_somebody and v.isascii() and v.isdigit())]


def _has_id_segment(path: str) -> bool:
    return any(_SEGMENT_ID.fullmatch(segment) for segment in path.split("/"))


def check_series(evidence: PageEvidence) -> Iterator[Finding]:
    """The total number of series, the number of `target_info` series, and the values of info metrics."""
    families = evidence.text.page.families.values()
    count = sum(len(family.samples) for family in families)
    if count > evidence.limits.series:
        largest = sorted(families, key=lambda family: -len(family.samples))[:3]
        shown = ", ".join(f"{family.name} {len(family.samples)}" for family in largest)
        yield Finding("OBS040", "page", f"has {count} series; most are of {shown}")
    targets = evidence.text.page.families.get("target_info")
    if targets is not None and len(targets.samples) > 1:
        yield Finding("OBS044", "target_info", f"has {len(targets.samples)} series")
    for family in families:
        if family.name.endswith("_info") and any(sample.value != 1 for sample in family.samples):
            yield Finding("OBS037", family.name, "has another value than 1")
