"""Checks of an answer as a whole: its status, content type, time, size, and who may read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message

from otel_obs.checks.all_checks import Finding
from otel_obs.checks.evidence import PageEvidence, body_format
from otel_obs.errors import CutOffError, UnreadableError
from otel_obs.reading.fetch import Fetched

TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text"
PROTOBUF = "application/vnd.google.protobuf"
# Between `;`, as Go reads them; the parts exclude each other, so that matching takes linear time.
_PARAMETERS = re.compile(
    r"[ \t]*(?:[\w!#$%&'*+.^`|~-]+=(?:[\w!#$%&'*+.^`|~-]+|\"[^\"]*\")[ \t]*(?:;[ \t]*|$))*"
)
MIB = 1024 * 1024
MAX_CHARACTERS = 1024
"""How much of a Content-Type is judged: Python's own parser of it takes quadratic time."""


def check_status(fetched: Fetched) -> Iterator[Finding]:
    """Anything but 200 ends the check: there is no page."""
    if fetched.status != 200:
        yield Finding("OBS002", "status", f"the answer has status {fetched.status}{_hint(fetched)}")


def unread(error: UnreadableError) -> Finding:
    """The finding for an address that gave no complete answer."""
    if isinstance(error, CutOffError):
        return Finding("OBS015", "page", f"{error.subject} {error.problem}")
    return Finding("OBS001", error.subject, error.problem)


def trouble(found: UnreadableError | Fetched) -> Finding:
    """The finding for a later request that failed although the first one succeeded."""
    if isinstance(found, UnreadableError):
        finding = unread(found)
        return finding._replace(what=f"not every time: {finding.what}")
    return Finding("OBS002", "status", f"not every answer has status 200: one has {found.status}")


def _hint(fetched: Fetched) -> str:
    if fetched.status in (401, 403):
        return ": it wants credentials, which --token-file or --header gives"
    if 300 <= fetched.status < 400:
        return f", and leads to {fetched.headers.get('location', 'nowhere')!r}"
    return ""


def check_content_types(evidence: PageEvidence) -> Iterator[Finding]:
    """Each answer announces a known format, and its body is in that format."""
    answers = [evidence.text.fetched]
    answers += [scraped.fetched for scraped in evidence.openmetrics]
    answers += [evidence.protobuf] if evidence.protobuf else []
    for content_type in dict.fromkeys(answer.content_type for answer in answers if answer.headers):
        yield from _content_type(content_type)
    yield from _disagreements(evidence)


def _content_type(content_type: str) -> Iterator[Finding]:
    content_type = content_type[:MAX_CHARACTERS]
    media, parameters = _parsed(content_type)
    if not content_type:
        yield Finding("OBS003", "Content-Type", "the answer has no Content-Type")
    elif media not in (TEXT, OPENMETRICS, PROTOBUF):
        yield Finding("OBS003", "Content-Type", f"the answer announces {content_type!r}")
    names = [name for name, _ in parameters]
    twice = sorted({name for name in names if names.count(name) > 1})
    if media in (TEXT, OPENMETRICS, PROTOBUF) and not _PARAMETERS.fullmatch(content_type.partition(";")[2]):
        yield Finding("OBS004", "Content-Type", f"{content_type!r} has a parameter that is no name=value")
    elif twice:
        yield Finding("OBS004", "Content-Type", f"{content_type!r} has {', '.join(twice)} twice")


def _parsed(content_type: str) -> tuple[str, list[tuple[str, str]]]:
    message = Message()
    message["Content-Type"] = content_type[:MAX_CHARACTERS]
    parameters = message.get_params(failobj=[])
    media = content_type.partition(";")[0].strip().lower()
    return media, [(name.lower(), value) for name, value in parameters[1:] if name]


def _disagreements(evidence: PageEvidence) -> Iterator[Finding]:
    names = {"text": "the text format", "openmetrics": "OpenMetrics"}
    for scraped in (evidence.text, *evidence.openmetrics[:1]):
        fetched = scraped.fetched
        announced, is_in = fetched.format, body_format(fetched)
        is_exposition = _parsed(fetched.content_type)[0] in (TEXT, OPENMETRICS)
        if is_exposition and announced and is_in and announced != is_in:
            what = f"{names[announced]} is announced, and the body is in {names[is_in]}"
            yield Finding("OBS005", "Content-Type", what)


def check_content(evidence: PageEvidence) -> Iterator[Finding]:
    """The page has at least one sample; a page with syntax errors is left to `check_syntax`."""
    page = evidence.text.page
    if not page.flaw_count and not any(True for _ in page.samples()):
        size = len(evidence.text.fetched.body)
        what = f"has {size} bytes, and no sample in them" if size else "is empty"
        yield Finding("OBS017", "page", f"the page {what}")


def check_reliability(evidence: PageEvidence) -> Iterator[Finding]:
    """Every one of several requests is answered."""
    yield from evidence.troubles


def check_costs(evidence: PageEvidence) -> Iterator[Finding]:
    """The time and the size of a scrape."""
    # The fastest of all answers: a single slow one may be due to the network or to a cold start.
    fetched, limits = evidence.text.fetched, evidence.limits
    fastest_s = min([fetched.duration_s, *(later.fetched.duration_s for later in evidence.later)])
    if fastest_s > limits.scrape_s:
        yield Finding("OBS006", "scrape", f"a scrape takes {fastest_s:.1f} s")
    if len(fetched.body) > limits.page_bytes:
        yield Finding("OBS007", "page", f"the page has {len(fetched.body) / MIB:.1f} MiB")
    is_packed = "content-encoding" in fetched.headers
    if fetched.headers and not is_packed and len(fetched.body) > limits.uncompressed_bytes:
        yield Finding("OBS008", "page", f"{len(fetched.body) / MIB:.1f} MiB were sent without compression")


def check_openness(evidence: PageEvidence) -> Iterator[Finding]:
    """Whether the page is public: readable without credentials at a public address."""
    if not evidence.is_authorized:
        for address in evidence.open_at:
            yield Finding("OBS009", "access", f"no credentials are asked for at {address}, a public address")
