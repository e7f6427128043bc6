"""Checks whether two libraries count the same requests."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from otel_obs.checks.all_checks import Finding
from otel_obs.checks.evidence import PageEvidence
from otel_obs.checks.label_checks import label_values
from otel_obs.reading.page import ScrapedFamily

# The part before "request" is the library's: flask_http_request_total, http_server_request_duration_seconds.
_COUNTED = re.compile(r"(\w*?)_?(?:requests?|server_duration|responses?)(?:_|$)")
_OTHERS = ("client", "upstream", "outgoing", "outbound", "websocket", "grpc", "llm", "db", "cache")
_METHOD = frozenset({"method", "http_method", "http_request_method"})
_WHERE = frozenset(
    {"endpoint", "handler", "path", "route", "http_route", "uri", "url", "view", "url_rule", "app_name"}
)
_STATUS = frozenset({"status", "status_code", "code", "http_status_code", "http_response_status_code"})
SCOPE = "otel_scope_name"


def check_counted_twice(evidence: PageEvidence) -> Iterator[Finding]:
    """Families that count served requests, grouped by the library that they come from."""
    libraries: defaultdict[str, list[str]] = defaultdict(list)
    for family in evidence.text.page.families.values():
        library = _library(family)
        if library is not None:
            libraries[library].append(family.name)
            scopes = label_values(family).get(SCOPE, set())
            if len(scopes) > 1:
                yield Finding("OBS060", family.name, f"is counted by {', '.join(sorted(scopes))}")
    if len(libraries) > 1:
        shown = " and ".join(sorted(names[0] for names in libraries.values()))
        yield Finding("OBS060", "requests", f"are counted by {shown}")


def _library(family: ScrapedFamily) -> str | None:
    """The prefix of a family that counts served requests, which identifies its library; else None."""
    match = _COUNTED.match(family.name)
    labels = label_values(family).keys()
    is_http = labels & _STATUS and labels & (_METHOD | _WHERE)
    if match is None or not is_http or any(part in _OTHERS for part in family.name.split("_")):
        return None
    return match[1]
