"""Answer a scrape: the facts of a request in, status, headers and body out. No I/O happens here."""

from __future__ import annotations

import hmac
import logging
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import parse_qsl

from otel_obs.errors import NotSharedError

WORTH_COMPRESSING_BYTES = 1400
SLICE_BYTES = 64 * 1024
PART_BYTES = 128 * 1024
GZIP = 31
"""zlib's window for a gzip header."""

_log = logging.getLogger("otel_obs")


class Source(Protocol):
    """Where expositions come from."""

    def collect(self, accept: str, names: Sequence[str]) -> tuple[str, Iterator[bytes]]:
        """Begin one exposition.

        Args:
            accept: The Accept header, "" where there is none.
            names: The families that were asked for; empty for all.

        Returns:
            The content type, and the body in parts. Making one part should take about a millisecond at most;
            a part may be empty, to say only that time has passed.
        """


class ScrapeRequest(NamedTuple):
    """What matters of a scrape's request; a missing header is ""."""

    method: str
    query: str = ""
    accept: str = ""
    accept_encoding: str = ""
    authorization: str = ""
    timeout_s: str = ""
    path: str = ""


class Answer(NamedTuple):
    """What to send."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class PartedAnswer(NamedTuple):
    """What to send, as it was made: to join a large body takes milliseconds in which nothing else runs."""

    status: int
    headers: list[tuple[str, str]]
    parts: list[bytes]

    @property
    def size_bytes(self) -> int:
        """The size of the body."""
        return sum(map(len, self.parts))

    def joined(self) -> Answer:
        """The same in one piece."""
        return Answer(self.status, self.headers, b"".join(self.parts))


Steps = Generator[None, None, PartedAnswer]
"""Work in steps of about a millisecond: run it to its end, doing something else between the steps or not."""


class Scrape:
    """Serves one path.

    Args:
        source: Where the body comes from.
        path: The path; with a slash at its end it answers too, without a redirect.
        token: The bearer token that a request must bring; "" for none.
        clock: Seconds, for the scraper's timeout.
    """

    def __init__(
        self,
        source: Source,
        *,
        path: str = "/metrics",
        token: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = "/" + path.strip("/")
        self.paths = frozenset({self.path, self.path.rstrip("/") + "/"})
        self._source = source
        self._token = token.encode()
        self._clock = clock

    def steps(self, request: ScrapeRequest) -> Steps:
        """Answer *request*, in steps."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        deadline_s = self._deadline_s(request.timeout_s)
        names = [value for key, value in parse_qsl(request.query) if key == "name[]"]
        try:
            content_type, chunks = self._source.collect(request.accept, names)
            headers = [("Content-Type", _with_charset(content_type)), ("Vary", "Accept, Accept-Encoding")]
            if request.method == "HEAD":
                return PartedAnswer(200, headers, [])
            body = _Body(accepts_gzip(request.accept_encoding))
            yield
            for chunk in chunks:
                for _ in body.append(chunk):
                    yield
                if deadline_s is not None and self._clock() > deadline_s:
                    return _text(503, "collecting took longer than the scraper waits\n")
                yield
        except NotSharedError as error:
            return _text(503, f"{error}\n")
        except Exception:
            _log.exception("a scrape failed")
            return _text(500, "collecting failed; the service's log says why\n")
        return PartedAnswer(200, headers + body.headers, body.finish())

    def answer(self, request: ScrapeRequest) -> Answer:
        """Answer *request* in one go."""
        return run(self.steps(request)).joined()

    def _refusal(self, request: ScrapeRequest) -> PartedAnswer | None:
        if request.method not in ("GET", "HEAD"):
            return _text(405, "a scrape is a GET\n", ("Allow", "GET, HEAD"))
        if self._token and not self._is_authorized(request.authorization):
            return _text(401, "a bearer token is needed\n", ("WWW-Authenticate", 'Bearer realm="metrics"'))
        return None

    def _is_authorized(self, authorization: str) -> bool:
        scheme, _, token = authorization.strip().partition(" ")
        given = token.strip().encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, self._token) and scheme.lower() == "bearer"

    def _deadline_s(self, timeout_s: str) -> float | None:
        try:
            seconds = float(timeout_s)
        except ValueError:
            return None
        return self._clock() + seconds if 0 < seconds < 3600 else None


def run(steps: Steps) -> PartedAnswer:
    """Run *steps* to their end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            answer: PartedAnswer = end.value
            return answer


def accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether an Accept-Encoding header allows gzip, by its own name or else by `*`."""
    allowed: dict[str, bool] = {}
    for coding in accept_encoding.lower().split(","):
        name, _, parameters = coding.partition(";")
        allowed.setdefault(name.strip().removeprefix("x-"), _is_wanted(parameters))
    return allowed.get("gzip", allowed.get("*", False))


def _is_wanted(parameters: str) -> bool:
    _, _, quality = parameters.partition("q=")
    try:
        return not quality or float(quality) > 0
    except ValueError:
        return False


class _Body:
    """Gathers the parts of a body, compressed as they come where that is allowed and worth it."""

    def __init__(self, may_compress: bool) -> None:
        self._may_compress = may_compress
        self._parts: list[bytes] = []
        self._small: list[bytes] = []
        self._small_bytes = 0
        self._gzip: zlib._Compress | None = None

    def append(self, chunk: bytes) -> Iterator[None]:
        if self._gzip is not None:
            yield from self._compress(chunk)
            return
        self._add(chunk)
        if self._may_compress and (self._parts or self._small_bytes > WORTH_COMPRESSING_BYTES):
            waiting, self._parts = self.finish(), []
            self._gzip = zlib.compressobj(1, zlib.DEFLATED, GZIP)
            for part in waiting:
                yield from self._compress(part)

    def _compress(self, chunk: bytes) -> Iterator[None]:
        assert self._gzip is not None
        for start in range(0, len(chunk), SLICE_BYTES):
            self._add(self._gzip.compress(chunk[start : start + SLICE_BYTES]))
            yield

    def _add(self, piece: bytes) -> None:
        self._small.append(piece)
        self._small_bytes += len(piece)
        if self._small_bytes >= PART_BYTES:
            self._gather()

    def _gather(self) -> None:
        if self._small_bytes:
            self._parts.append(b"".join(self._small))
        self._small, self._small_bytes = [], 0

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [("Content-Encoding", "gzip")] if self._gzip is not None else []

    def finish(self) -> list[bytes]:
        """The parts of the body; none of them is empty."""
        if self._gzip is not None:
            self._add(self._gzip.flush())
        self._gather()
        return self._parts


def _with_charset(content_type: str) -> str:
    """Text says its charset: some readers refuse it otherwise."""
    is_text = content_type.startswith(("text/plain", "application/openmetrics-text"))
    return f"{content_type}; charset=utf-8" if is_text and "charset" not in content_type else content_type


def _text(status: int, body: str, *headers: tuple[str, str]) -> PartedAnswer:
    return PartedAnswer(status, [("Content-Type", "text/plain; charset=utf-8"), *headers], [body.encode()])
