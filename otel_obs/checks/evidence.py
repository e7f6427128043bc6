"""The evidence that the checks look at: answers in each format, and several answers in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from otel_obs.checks.all_checks import Finding
from otel_obs.reading.fetch import Fetched
from otel_obs.reading.page import PageFormat, ScrapedPage
from otel_obs.reading.text import PageReader


@dataclass(frozen=True)
class Limits:
    """The limits above which a check has a finding."""

    scrape_s: float = 5.0
    page_bytes: int = 10 * 1024 * 1024
    uncompressed_bytes: int = 1024 * 1024
    series: int = 10_000
    label_values: int = 200


@dataclass(frozen=True)
class Scraped:
    """One answer, and its parsed page."""

    fetched: Fetched
    page: ScrapedPage

    @classmethod
    def read(cls, fetched: Fetched, reader: PageReader) -> Scraped:
        """Parse an answer in the format of its body, even if its Content-Type announces another one."""
        return cls(fetched, reader.read(fetched.body, body_format(fetched)))


def body_format(fetched: Fetched) -> PageFormat | None:
    """The format of a body: only OpenMetrics has an end mark, only text has families in _total."""
    if fetched.body.rstrip(b"\n").endswith(b"\n# EOF"):
        return "openmetrics"
    return "text" if b"_total counter\n" in fetched.body else fetched.format


@dataclass(frozen=True)
class PageEvidence:
    """The evidence that was gathered from one endpoint.

    Attributes:
        text: The answer to a request for text; for a file, the file.
        openmetrics: The answers to requests for OpenMetrics, several where the first has other names than
            the text; none for a file.
        protobuf: The answer to a request for protobuf; None for a file.
        later: Further answers in text, each on a connection of its own, in order.
        is_authorized: Whether the requests carried credentials.
        troubles: Findings for later requests that failed.
        open_at: The public addresses that the endpoint can be reached at, as far as they are known.
    """

    text: Scraped
    openmetrics: Sequence[Scraped] = ()
    protobuf: Fetched | None = None
    later: Sequence[Scraped] = ()
    is_authorized: bool = False
    troubles: Sequence[Finding] = ()
    open_at: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)
