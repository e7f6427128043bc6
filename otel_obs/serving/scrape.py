"""Answers a scrape: from a request's fields to status, headers and body. No I/O happens here."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import parse_qsl, quote

from otel_obs.errors import NotSharedError
from otel_obs.host.once import LogOnce
from otel_obs.host.signals import raise_interruption
from otel_obs.serving.body import Body, BodyParts
from otel_obs.serving.crowd import BUSY, Crowd, ScrapeTurn
from otel_obs.serving.target import is_spelt

MAX_CHARACTERS = 4096
"""How much of a header is parsed."""

PATIENCE_S = 10.0
"""How long a scrape waits for its turn if the scraper has sent no timeout header."""

_once = LogOnce()


class ExpositionSource(Protocol):
    """Makes expositions."""

    def collect(self, accept: str, names: Sequence[str]) -> tuple[str, Iterator[bytes]]:
        """Begin one exposition.

        Args:
            accept: The Accept header, "" where there is none.
            names: The families to expose; empty for all.

        Returns:
            The content type, and the body in parts. Making one part should take about a millisecond at most;
            a part may be empty, to give the caller a turn.
        """


class ScrapeRequest(NamedTuple):
    """The fields of a request that a scrape depends on; a missing header is ""."""

    method: str
    query: str = ""
    accept: str = ""
    accept_encoding: str = ""
    authorization: str = ""
    timeout_s: str = ""
    path: str = ""


class PartedAnswer(NamedTuple):
    """An answer with its body in parts: joining a large body would hold the GIL for milliseconds.

    Several requests may share the list of parts; it must not be changed.
    """

    status: int
    headers: list[tuple[str, str]]
    parts: list[bytes]

    @property
    def size_bytes(self) -> int:
        """The size of the body."""
        return sum(map(len, self.parts))


ScrapeSteps = Generator[float, None, PartedAnswer]
"""A scrape as a generator, in steps of about a millisecond; its return value is the answer.

The driver may do other work between the steps. Each step yields the seconds to wait before the next one.
"""


class Scrape:
    """Serves one path.

    Args:
        source: Makes the body.
        path: The path; only exactly this one is answered.
        token: The bearer token that a request must send, "" for none; or a function that returns it.
        clock: Returns seconds, for the scraper's timeout.
        has_slash: Whether the path with a slash at its end is answered too.
        is_inside: Whether frameworks serve the path as a route, behind the application's own checks.
    """

    def __init__(
        self,
        source: ExpositionSource,
        *,
        path: str = "/metrics",
        token: str | Callable[[], str] = "",
        clock: Callable[[], float] = time.monotonic,
        has_slash: bool = False,
        is_inside: bool = False,
    ) -> None:
        self.path = "/" + path.strip("/")
        self.paths = frozenset({self.path, self.path.rstrip("/") + "/"} if has_slash else {self.path})
        self.reserved = frozenset({self.path, self.path.rstrip("/") + "/"})
        """Paths that the middlewares do not measure; an application's own page there is served by it."""
        self.is_inside = is_inside
        self.is_announced = False
        self._raw_paths = tuple({*self.paths, *map(quote, self.paths)})
        self._source = source
        self._token = token if callable(token) else lambda: token
        self._clock = clock
        self._crowd: Crowd[PartedAnswer] = Crowd(clock)

    def also_answer(self, paths: frozenset[str]) -> None:
        """Answer *paths* too."""
        self.paths |= paths
        self.reserved |= paths
        self._raw_paths = tuple({*self.paths, *map(quote, self.paths)})

    @property
    def has_token(self) -> bool:
        """Whether a request must send a token."""
        return bool(self._token())

    def is_exact(self, target: str | None, prefix: str = "") -> bool:
        """Whether a request for one of `paths` spelt it literally, not as `/%6detrics` or `//metrics`.

        Args:
            target: The undecoded request target; None where the server does not give it.
            prefix: The prefix that the server has put before the path, decoded.
        """
        return not target or is_spelt(target, self._raw_paths, prefix)

    def refusal(self, request: ScrapeRequest) -> PartedAnswer | None:
        """Return the answer to a request that must not be served; None where it may be."""
        if request.method not in ("GET", "HEAD"):
            return _text(405, "a scrape is a GET\n", ("Allow", "GET, HEAD"))
        token = self._token()
        if token and not _is_authorized(request.authorization, token):
            return _text(401, "a bearer token is needed\n", ("WWW-Authenticate", 'Bearer realm="metrics"'))
        if self._crowd.is_full:
            return _text(503, "too many scrapes at a time\n", ("Retry-After", "1"))
        return None

    def steps(self, request: ScrapeRequest) -> ScrapeSteps:
        """Answer *request*, in steps."""
        refusal = self.refusal(request)  # checked here too, for callers that have not asked
        if refusal is not None:
            return refusal
        deadline_s = self._deadline_s(request.timeout_s)
        names = [value for key, value in parse_qsl(request.query) if key == "name[]"]
        try:
            content_type, chunks = self._source.collect(request.accept[:MAX_CHARACTERS], names)
            headers = [("Content-Type", _with_charset(content_type)), ("Vary", "Accept, Accept-Encoding")]
            if request.method == "HEAD":
                return PartedAnswer(200, headers, [])
            may_compress = accepts_gzip(request.accept_encoding)
            key = (content_type, may_compress, tuple(names))
            with self._crowd.enter(key) as turn:
                answer = yield from self._in_turn(turn, chunks, headers, may_compress, deadline_s)
            _once.forget("failed")
            # A copy: the answer is shared with other requests, and a middleware may add headers to it.
            return answer._replace(headers=list(answer.headers))
        except NotSharedError as error:
            return _text(503, f"{error}\n")
        except Exception as error:
            raise_interruption(error)
            _once.error("failed", "a scrape failed", error=error)
            return _text(500, "collecting failed; the service's log says why\n")

    def _in_turn(
        self,
        turn: ScrapeTurn[PartedAnswer],
        chunks: Iterator[bytes],
        headers: list[tuple[str, str]],
        may_compress: bool,
        deadline_s: float | None,
    ) -> ScrapeSteps:
        """Wait for another scrape that makes the same answer, or make it."""
        wait_until_s = self._clock() + PATIENCE_S if deadline_s is None else deadline_s
        while not turn.is_mine and turn.answer is None:
            if self._clock() > wait_until_s:
                return _text(503, "too many scrapes at a time\n", ("Retry-After", "1"))
            yield BUSY
        if turn.answer is not None:
            return turn.answer
        body = Body(may_compress)
        yield 0.0
        for chunk in chunks:
            for _ in body.append(chunk):
                yield 0.0
            if deadline_s is not None and self._clock() > deadline_s:
                return _text(503, "collecting took longer than the scraper waits\n")
            yield 0.0
        answer = PartedAnswer(200, headers + body.headers, BodyParts(body.finish()))
        # Without the body: the crowd keeps `around`, but must hold the body only weakly.
        around = PartedAnswer(200, answer.headers, [])
        turn.done(answer, answer.parts, answer.size_bytes, lambda parts: around._replace(parts=parts))
        return answer

    def _deadline_s(self, timeout_s: str) -> float | None:
        try:
            seconds = float(timeout_s[:32])
        except ValueError:
            return None
        return self._clock() + seconds if 0 < seconds < 3600 else None


def run_steps(steps: ScrapeSteps) -> PartedAnswer:
    """Run *steps* to their end."""
    while True:
        try:
            rest_s = next(steps)
        except StopIteration as end:
            answer: PartedAnswer = end.value
            return answer
        if rest_s:
            time.sleep(rest_s)


def _is_authorized(authorization: str, token: str) -> bool:
    scheme, _, given = authorization.strip().partition(" ")
    # In constant time: the time that `==` takes would reveal how much of a guess is right.
    is_same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    return is_same and scheme.lower() == "bearer"


def accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether an Accept-Encoding header allows gzip, by its own name or else by `*`."""
    allowed: dict[str, bool] = {}
    for coding in accept_encoding[:MAX_CHARACTERS].lower().split(","):
        name, _, parameters = coding.partition(";")
        allowed.setdefault(name.strip().removeprefix("x-"), _is_wanted(parameters))
    return allowed.get("gzip", allowed.get("*", False))


def _is_wanted(parameters: str) -> bool:
    _, _, quality = parameters.partition("q=")
    try:
        return not quality or 0 < float(quality) <= 1
    except ValueError:
        return False


def _with_charset(content_type: str) -> str:
    """Add the charset to text types: some clients refuse text without one."""
    is_text = content_type.startswith(("text/plain", "application/openmetrics-text"))
    return f"{content_type}; charset=utf-8" if is_text and "charset" not in content_type else content_type


def _text(status: int, body: str, *headers: tuple[str, str]) -> PartedAnswer:
    return PartedAnswer(status, [("Content-Type", "text/plain; charset=utf-8"), *headers], [body.encode()])
