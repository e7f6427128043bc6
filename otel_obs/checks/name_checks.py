"""Checks of the names, types and help texts of families."""

from __future__ import annotations

import re
from collections.abc import Iterator

from otel_obs.checks.all_checks import Finding
from otel_obs.checks.evidence import PageEvidence
from otel_obs.reading.page import ScrapedFamily

_OTHER_UNITS = {
    "seconds": "ms millis milliseconds us micros microseconds ns nanos nanoseconds minutes hours days weeks",
    "bytes": "kb kib kilobytes mb mib megabytes mebibytes gb gib gigabytes gibibytes tb tib terabytes",
    "celsius": "fahrenheit",
    "meters": "km kilometers centimeters millimeters miles",
    "grams": "kg kilograms pounds",
}
_BASE_OF = {unit: base for base, units in _OTHER_UNITS.items() for unit in units.split()}
_UPPER, _LOWER = re.compile(r"[A-Z]"), re.compile(r"[a-z]")
_RESERVED = ("_bucket", "_count", "_sum")


def check_names(evidence: PageEvidence) -> Iterator[Finding]:
    """Every family by its name, type and help."""
    for family in evidence.text.page.families.values():
        if family.samples:
            yield from _suffixes(family)
            yield from _spelling(family)
            yield from _description(family)


def _suffixes(family: ScrapedFamily) -> Iterator[Finding]:
    name = family.name
    if family.type == "counter" and not name.endswith("_total") and family.samples[0].name == name:
        yield Finding("OBS020", name, "is a counter whose name does not end in _total")
    if family.type in ("gauge", "histogram", "summary") and name.endswith("_total"):
        yield Finding("OBS021", name, f"is a {family.type} whose name ends in _total")
    if family.type in ("gauge", "counter") and name.endswith(_RESERVED):
        yield Finding("OBS027", name, f"is a {family.type}, and its name ends as samples of histograms do")


def _spelling(family: ScrapedFamily) -> Iterator[Finding]:
    last = family.name.lower().removesuffix("_total").rpartition("_")[2]
    if last in _BASE_OF:
        yield Finding("OBS024", family.name, f"is in {last}; expected {_BASE_OF[last]}")
    if _UPPER.search(family.name) and _LOWER.search(family.name):
        yield Finding("OBS025", family.name, "mixes upper and lower case")
    if ":" in family.name:
        yield Finding("OBS026", family.name, "has a colon in its name")


def _description(family: ScrapedFamily) -> Iterator[Finding]:
    if not family.is_typed:
        yield Finding("OBS022", family.name, "has no TYPE")
    if not family.help:
        yield Finding("OBS023", family.name, "has no HELP")
