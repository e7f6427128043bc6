"""Gather the evidence of an endpoint and run every check on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from otel_obs.checks import endpoint, label_checks, movement, name_checks, syntax, twice, value_checks
from otel_obs.checks.all_checks import Finding
from otel_obs.checks.evidence import Limits, PageEvidence, Scraped
from otel_obs.errors import UnreadableError
from otel_obs.reading import fetch
from otel_obs.reading.addresses import public_addresses
from otel_obs.reading.fetch import Fetched, Fetching
from otel_obs.reading.text import PageReader

PAGE_CHECKS: Sequence[Callable[[PageEvidence], Iterable[Finding]]] = (
    endpoint.check_content_types,
    endpoint.check_content,
    endpoint.check_reliability,
    endpoint.check_costs,
    endpoint.check_openness,
    syntax.check_syntax,
    syntax.check_formats_agree,
    syntax.check_protobuf,
    name_checks.check_names,
    label_checks.check_labels,
    label_checks.check_series,
    value_checks.check_values,
    movement.check_movement,
    twice.check_counted_twice,
)

MAX_BYTES_AGAIN = 64 * 1024 * 1024
"""How much is read after the first answer: what was parsed is kept, and takes many times as much."""


@dataclass(frozen=True)
class Repetition:
    """How often an address is asked again: often enough that different workers answer."""

    times: int = 10
    interval_s: float = 0.0


def check_source(
    source: str, fetching: Fetching, limits: Limits | None = None, again: Repetition | None = None
) -> list[Finding]:
    """Check an address or a file.

    Args:
        source: As `reading.fetch.address_or_file` makes it.
        fetching: The request options.
        limits: The limits above which sizes and numbers are findings.
        again: How often an address is asked again.

    Raises:
        UnreadableError: A file cannot be read. An address that cannot be reached is a finding.
    """
    try:
        first = fetching.fetch(source)
    except UnreadableError as error:
        if not fetch.is_address(source):
            raise
        return [endpoint.unread(error)]
    refused = list(endpoint.check_status(first))
    if refused:
        return refused
    return judge(gather(source, first, fetching, limits or Limits(), again or Repetition()))


def judge(evidence: PageEvidence) -> list[Finding]:
    """Run every check on the evidence; findings are sorted by code, each once."""
    return list(dict.fromkeys(sorted(_findings(evidence), key=lambda finding: finding.code)))


def _findings(evidence: PageEvidence) -> Iterator[Finding]:
    for check in PAGE_CHECKS:
        yield from check(evidence)


def gather(
    source: str, first: Fetched, fetching: Fetching, limits: Limits, again: Repetition
) -> PageEvidence:
    """Fetch the remaining evidence: the other formats, and more answers in a row."""
    reader = PageReader()
    text = Scraped.read(first, reader)
    evidence = PageEvidence(text, limits=limits, is_authorized=fetching.has_credentials)
    if not fetch.is_address(source):
        return evidence
    asking = _AskedSource(source, fetching, again)
    openmetrics = [Scraped.read(answer, reader) for answer in asking.ask(fetch.ACCEPT_OPENMETRICS, times=1)]
    protobuf = next(asking.ask(fetch.ACCEPT_PROTOBUF, times=1), None)
    later = [Scraped.read(answer, reader) for answer in asking.ask(fetch.ACCEPT_TEXT)]
    evidence = replace(
        evidence,
        openmetrics=openmetrics,
        protobuf=protobuf,
        later=later,
        troubles=asking.troubles,
        open_at=public_addresses(source),
    )
    if not any(syntax.disagreements(evidence)):
        return evidence
    # The formats may differ since different workers answered: ask again, and count a name as missing only if
    # no answer has it.
    repeated = asking.ask(fetch.ACCEPT_OPENMETRICS)
    return replace(evidence, openmetrics=openmetrics + [Scraped.read(answer, reader) for answer in repeated])


@dataclass
class _AskedSource:
    """Asks an address repeatedly, and collects a finding for each failed request."""

    source: str
    fetching: Fetching
    again: Repetition
    troubles: list[Finding] = field(default_factory=list)
    size_bytes: int = 0

    def ask(self, accept: str, times: int | None = None) -> Iterator[Fetched]:
        for _ in range(self.again.times if times is None else times):
            if self.size_bytes > MAX_BYTES_AGAIN:
                return
            time.sleep(self.again.interval_s if times is None else 0)
            try:
                answer = self.fetching.fetch(self.source, accept)
            except UnreadableError as error:
                self.troubles.append(endpoint.trouble(error))
                continue
            if answer.status == 200:
                self.size_bytes += len(answer.body)
                yield answer
            else:
                self.troubles.append(endpoint.trouble(answer))
