"""The live page that a service serves beside its `/metrics`, protected by the same token."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from otel_obs.live import served_files
from otel_obs.serving.scrape import ExpositionSource, PartedAnswer, Scrape, ScrapeRequest, ScrapeSteps

INTERVAL_S = 2.0


class LiveScrape(Scrape):
    """Serves `/metrics`, and the page that shows it.

    A browser does not ask its user for a bearer token, but for a password (HTTP basic authentication). So on
    the page's paths the password is compared with the token; the user name is ignored.

    Args:
        source: Where the metrics come from.
        live_path: The path of the page.
        traces: The address of a trace, with `{trace_id}` in it, to which the page links.
        options: The other arguments of `Scrape`.
    """

    def __init__(self, source: ExpositionSource, *, live_path: str, traces: str = "", **options: Any) -> None:
        super().__init__(source, **options)
        self._traces = traces
        self._base = "/" + live_path.strip("/")
        names = ("", *served_files.ASSETS, served_files.TARGETS, f"{served_files.SCRAPE}0")
        self._pages = frozenset({self._base, *(f"{self._base}/{name}" for name in names)})
        self.also_answer(self._pages)

    def refusal(self, request: ScrapeRequest) -> PartedAnswer | None:
        """Return the answer to a request that must not be served; None where it may be."""
        if request.path not in self._pages:
            return super().refusal(request)
        refusal = super().refusal(request._replace(authorization=_as_bearer(request.authorization)))
        return None if refusal is None else _hardened(refusal)

    def steps(self, request: ScrapeRequest) -> ScrapeSteps:
        """Answer *request*, in steps."""
        if request.path not in self._pages:
            return (yield from super().steps(request))
        refusal = self.refusal(request)
        if refusal is not None:
            return refusal
        if request.path.endswith(f"/{served_files.SCRAPE}0"):
            answer = yield from super().steps(request)
        else:
            answer = self._document(request)
        return _hardened(answer)

    def _document(self, request: ScrapeRequest) -> PartedAnswer:
        if request.path == self._base:
            # Relative: the application may be mounted under a prefix that is unknown here.
            return PartedAnswer(307, [("Location", self._base.rpartition("/")[2] + "/")], [])
        name = request.path[len(self._base) + 1 :]
        found = (
            served_files.targets_document(["this service"], INTERVAL_S, self._traces)
            if name == served_files.TARGETS
            else served_files.read_asset(name)
        )
        assert found is not None  # every other path of `_pages` is a file
        headers = [("Content-Type", found.content_type)]
        return PartedAnswer(200, headers, [] if request.method == "HEAD" else [found.body])


def _as_bearer(authorization: str) -> str:
    """Translate basic authentication into a bearer token; other schemes stay as they are."""
    scheme, _, given = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return authorization
    try:
        _, _, password = base64.b64decode(given.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return f"Bearer {password}"


def _hardened(answer: PartedAnswer) -> PartedAnswer:
    headers = [
        (name, 'Basic realm="metrics"' if name == "WWW-Authenticate" else value)
        for name, value in answer.headers
    ]
    return answer._replace(headers=[*headers, *served_files.SECURITY_HEADERS])
