"""Gather the evidence of an endpoint and run every check on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from otel_obs.checks import endpoint, syntax
from otel_obs.checks.evidence import Evidence, Limits, Scraped
from otel_obs.checks.table import Finding
from otel_obs.errors import UnreadableError
from otel_obs.reading import fetch
from otel_obs.reading.fetch import Fetched, Fetching
from otel_obs.reading.text import PageReader

PAGE_CHECKS: Sequence[Callable[[Evidence], Iterable[Finding]]] = (
    endpoint.check_content_types,
    endpoint.check_costs,
    endpoint.check_openness,
    syntax.check_syntax,
    syntax.check_formats_agree,
)

BURST = 8
"""How many answers are compared: enough that several workers answer."""


def check_source(source: str, fetching: Fetching, limits: Limits | None = None) -> list[Finding]:
    """Check an address or a file.

    Args:
        source: As `reading.fetch.address_or_file` makes it.
        fetching: How it is asked.
        limits: From where on sizes and numbers are too large.

    Raises:
        UnreadableError: A file cannot be read. An address that cannot be reached is a finding.
    """
    try:
        first = fetching.fetch(source)
    except UnreadableError as error:
        if not fetch.is_address(source):
            raise
        return [Finding("OBS001", source, error.problem)]
    refused = list(endpoint.check_status(first))
    return refused or judge(gather(source, first, fetching, limits or Limits()))


def judge(evidence: Evidence) -> list[Finding]:
    """Run every check on what was gathered; by code, and each finding once."""
    return list(dict.fromkeys(sorted(_findings(evidence), key=lambda finding: finding.code)))


def _findings(evidence: Evidence) -> Iterator[Finding]:
    for check in PAGE_CHECKS:
        yield from check(evidence)


def gather(source: str, first: Fetched, fetching: Fetching, limits: Limits) -> Evidence:
    """Ask for all else: the other formats, and more answers in a row."""
    reader = PageReader()
    text = Scraped(first, reader.read(first.body, first.format))
    evidence = Evidence(text, limits=limits, is_authorized="Authorization" in fetching.headers)
    if not fetch.is_address(source):
        return evidence
    later = [fetching.fetch(source) for _ in range(BURST)]
    openmetrics = fetching.fetch(source, fetch.ACCEPT_OPENMETRICS)
    return replace(
        evidence,
        openmetrics=Scraped(openmetrics, reader.read(openmetrics.body, openmetrics.format)),
        protobuf=fetching.fetch(source, fetch.ACCEPT_PROTOBUF),
        later=[Scraped(answer, reader.read(answer.body, answer.format)) for answer in later],
    )
