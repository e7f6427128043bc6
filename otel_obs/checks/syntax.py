"""Checks of the formats: what strict parsers refuse, and whether all formats have the same samples."""

from __future__ import annotations

from collections.abc import Iterator

from otel_obs.checks.all_checks import Finding
from otel_obs.checks.evidence import PageEvidence, Scraped
from otel_obs.reading.page import ScrapedPage
from otel_obs.reading.protobuf import ProtobufError, read_family_types

_IN_TEXT = {"info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram"}
"""The types that text lacks, with what stands for them."""
SHOWN = 5
"""How many names a message lists."""

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


def check_syntax(evidence: PageEvidence) -> Iterator[Finding]:
    """Every flaw of the text page and of the OpenMetrics page."""
    yield from _flaws(evidence.text)
    for scraped in evidence.openmetrics[:1]:
        if scraped.page.format == "openmetrics":
            yield from _flaws(scraped)


def _flaws(scraped: Scraped) -> Iterator[Finding]:
    default = "OBS011" if scraped.page.format == "openmetrics" else "OBS010"
    is_exposition = any(True for _ in scraped.page.samples())
    for flaw in scraped.page.flaws:
        if flaw.kind == "no_newline" and not is_exposition:
            continue  # a page without any sample is no exposition, and needs no newline at its end
        code = _CODES.get(flaw.kind, default)
        yield Finding(code, f"{scraped.page.format} line {flaw.line}", flaw.what)
    more = scraped.page.flaw_count - len(scraped.page.flaws)
    if more:
        yield Finding(default, scraped.page.format, f"and {more} more lines")


def check_protobuf(evidence: PageEvidence) -> Iterator[Finding]:
    """The protobuf answer is complete, and its types are those of the text page."""
    answer = evidence.protobuf
    if answer is None or not answer.content_type.startswith("application/vnd.google.protobuf"):
        return
    try:
        types = read_family_types(answer.body)
    except ProtobufError as error:
        yield Finding("OBS012", "protobuf", str(error))
        return
    families = evidence.text.page.families
    for name, kind in types.items():
        told = families[name].type if name in families else kind
        if told != kind and kind != "gaugehistogram":
            yield Finding("OBS016", name, f"is a {told} in text and a {kind} in protobuf")


def check_formats_agree(evidence: PageEvidence) -> Iterator[Finding]:
    """Text and OpenMetrics have the same sample names and types, except for what only OpenMetrics has."""
    for where, missing in zip(("OpenMetrics", "text"), disagreements(evidence), strict=True):
        if missing:
            shown = ", ".join(sorted(missing)[:SHOWN]) + (" …" if len(missing) > SHOWN else "")
            yield Finding("OBS016", where, f"{where} lacks {len(missing)} names of the other format: {shown}")
    for scraped in evidence.openmetrics[:1]:
        if scraped.page.format == "openmetrics":
            yield from _types(evidence.text.page, scraped.page)


def _types(text: ScrapedPage, openmetrics: ScrapedPage) -> Iterator[Finding]:
    """Families whose types differ, where text has the type."""
    for name, family in openmetrics.families.items():
        named = text.families.get(name) or text.families.get(f"{name}_total")
        expected = _IN_TEXT.get(family.type, family.type)
        if named is not None and named.is_typed and family.is_typed and named.type != expected:
            yield Finding(
                "OBS016", named.name, f"is a {named.type} in text and a {family.type} in OpenMetrics"
            )


def disagreements(evidence: PageEvidence) -> tuple[set[str], set[str]]:
    """The names that no answer in OpenMetrics has and all in text have, and the other way round.

    A name that at least one answer of a format has is not missing: another worker may have answered, or the
    family may be new.
    """
    texts = [_names(each.page) for each in (evidence.text, *evidence.later) if each.fetched.status == 200]
    others = [_names(each.page) for each in evidence.openmetrics if each.page.format == "openmetrics"]
    if not texts or not others:
        return set(), set()
    in_all_texts, in_all_others = texts[0].intersection(*texts), others[0].intersection(*others)
    return in_all_texts.difference(*others), in_all_others.difference(*texts)


def _names(page: ScrapedPage) -> set[str]:
    """Names of samples. A counter's `_total` is left out: text may lack it, OpenMetrics may not."""
    names = {sample.name for sample in page.samples()}
    return {name.removesuffix("_total") for name in names if not name.endswith("_created")}
