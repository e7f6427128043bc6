"""Checks of the formats: what strict parsers refuse, and whether all formats say the same."""

from __future__ import annotations

from collections.abc import Iterator

from otel_obs.checks.evidence import Evidence, Scraped
from otel_obs.checks.table import Finding
from otel_obs.reading.page import Flaw, ScrapedPage

SHOWN = 5
"""How many flaws of one code are shown."""

_CODES = {
    "series_twice": "OBS013",
    "type_twice": "OBS014",
    "help_twice": "OBS014",
    "unit_twice": "OBS014",
    "family_twice": "OBS014",
    "late_type": "OBS014",
    "scattered": "OBS014",
    "no_newline": "OBS015",
    "no_eof": "OBS015",
}


def check_syntax(evidence: Evidence) -> Iterator[Finding]:
    """Every flaw of the text page and of the OpenMetrics page."""
    yield from _flaws(evidence.text)
    if evidence.openmetrics is not None and evidence.openmetrics.page.format == "openmetrics":
        yield from _flaws(evidence.openmetrics)


def _flaws(scraped: Scraped) -> Iterator[Finding]:
    by_code: dict[str, list[Flaw]] = {}
    default = "OBS011" if scraped.page.format == "openmetrics" else "OBS010"
    for flaw in scraped.page.flaws:
        by_code.setdefault(_CODES.get(flaw.kind, default), []).append(flaw)
    for code, flaws in by_code.items():
        for flaw in flaws[:SHOWN]:
            yield Finding(code, f"{scraped.page.format} line {flaw.line}", flaw.what)
        if len(flaws) > SHOWN:
            yield Finding(code, scraped.page.format, f"and {len(flaws) - SHOWN} more such lines")


def check_formats_agree(evidence: Evidence) -> Iterator[Finding]:
    """The same samples in text and in OpenMetrics, but for what only OpenMetrics has."""
    if evidence.openmetrics is None or evidence.openmetrics.page.format != "openmetrics":
        return
    text, openmetrics = _names(evidence.text.page), _names(evidence.openmetrics.page)
    for where, missing in (("OpenMetrics", text - openmetrics), ("text", openmetrics - text)):
        if missing:
            shown = ", ".join(sorted(missing)[:SHOWN]) + (" …" if len(missing) > SHOWN else "")
            yield Finding("OBS016", where, f"{where} lacks {len(missing)} names of the other format: {shown}")


def _names(page: ScrapedPage) -> set[str]:
    """Names of samples. A counter's `_total` is left out: text may lack it, OpenMetrics may not."""
    names = {sample.name for sample in page.samples()}
    return {name.removesuffix("_total") for name in names if not name.endswith("_created")}
