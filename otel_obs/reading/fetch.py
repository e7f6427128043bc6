"""Get a page from an address, a file or standard input, with limits on size and time."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

from otel_obs.errors import CutOffError, UnreadableError
from otel_obs.reading.deadline import deadline_handlers
from otel_obs.reading.page import PageFormat
from otel_obs.reading.text import format_of

ACCEPT_TEXT = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
ACCEPT_OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
ACCEPT_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "text/plain;q=0.5"
)

MAX_BYTES = 256 * 1024 * 1024
MAX_LINES = 2_000_000
"""How many lines of an answer are read: a parsed line takes up to a kilobyte, however short it is."""
PIECE_BYTES = 256 * 1024
STANDARD_INPUT = "-"
SENT = "%/:?#[]@!$&'()*+,;=~"
"""What an address keeps of its punctuation."""
Answer: TypeAlias = "http.client.HTTPResponse | urllib.error.HTTPError"


@dataclass(frozen=True)
class Fetched:
    """The answer of an address, or the content of a file (with status 200 and no headers).

    `body` is decompressed; `size_bytes` is the size that was sent. `duration_s` is from the request to the
    last byte.
    """

    source: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    size_bytes: int
    duration_s: float

    @property
    def content_type(self) -> str:
        """The Content-Type header, "" where there is none."""
        return self.headers.get("content-type", "")

    @property
    def format(self) -> PageFormat | None:
        """The announced format; None for a file."""
        return format_of(self.content_type) if self.headers else None


@dataclass(frozen=True)
class Fetching:
    """Request options: headers, and the seconds within which an answer has to be there to its last byte."""

    headers: Mapping[str, str]
    timeout_s: float = 10.0

    @property
    def has_credentials(self) -> bool:
        """Whether a header carries credentials."""
        return any(name.lower() in ("authorization", "cookie", "x-api-key") for name in self.headers)

    def fetch(self, source: str, accept: str = ACCEPT_TEXT, most_bytes: int = MAX_BYTES) -> Fetched:
        """Get a page.

        Args:
            source: An address as `address` makes it, the path of a file, or `-`.
            accept: The Accept header.
            most_bytes: The size, also the decompressed one, above which an answer is not read.

        Raises:
            UnreadableError: There is no complete answer. An answer with an error status is returned.
        """
        if not is_address(source):
            return _read_file(source, most_bytes)
        headers = {"Accept": accept, "Accept-Encoding": "gzip", "User-Agent": "otel-obs", **self.headers}
        started_s = time.perf_counter()
        try:
            request = urllib.request.Request(source, headers=headers)
            with _opened(source, request, self.timeout_s) as answer:
                found = _received(source, answer, started_s, most_bytes)
        except UnreadableError:
            raise
        except http.client.IncompleteRead as error:
            raise CutOffError(
                source, f"ended after {len(error.partial)} bytes of a piece of its answer"
            ) from None
        except urllib.error.URLError as error:
            raise UnreadableError(
                source, f"cannot be reached: {_reason(error.reason)}", _remedy(source)
            ) from None
        except TimeoutError:
            raise UnreadableError(source, f"did not answer within {self.timeout_s:g} s") from None
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise UnreadableError(source, f"did not answer in HTTP: {_reason(error)}") from None
        return found


def is_address(source: str) -> bool:
    """Whether *source* is an address, and not a file."""
    return source.startswith(("http://", "https://"))


def address(given: str) -> str:
    """Complete a short address: `:8000`, `localhost:8000` and `http://localhost:8000` are `…/metrics`."""
    text = given if "://" in given else "http://" + (f"localhost{given}" if given.startswith(":") else given)
    try:
        text = _in_ascii(text)
        parts = urllib.parse.urlsplit(text)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        if is_right and "@" in parts.netloc:
            raise UnreadableError(
                parts.netloc.rpartition("@")[2],
                "cannot be asked with credentials in its address",
                "give --token-file, or --header 'Authorization: …'",
            )
    except ValueError:
        is_right = False
    if not is_right or any(c.isspace() or not c.isprintable() for c in text):
        raise UnreadableError(
            repr(given), "is not an address", "expected one such as http://localhost:8000/metrics"
        )
    return text if parts.path or parts.query or parts.fragment else text.rstrip("/") + "/metrics"


def _in_ascii(text: str) -> str:
    """An address as HTTP sends it: a host in IDNA, and the rest with every other character as `%…`.

    Raises:
        ValueError: The host cannot be a name, or the text has surrogates.
    """
    if text.isascii() or not text.isprintable():
        return text
    parts = urllib.parse.urlsplit(text)
    credentials, at, host = parts.netloc.rpartition("@")
    return parts._replace(
        netloc=credentials + at + host.encode("idna").decode(),
        path=urllib.parse.quote(parts.path, SENT),
        query=urllib.parse.quote(parts.query, SENT),
    ).geturl()


def address_or_file(given: str) -> str:
    """The path of an existing file, or `-`; otherwise the completed address.

    Raises:
        UnreadableError: It is a directory, a path without a file, or not an address.
    """
    if given == STANDARD_INPUT:
        return given
    if not given:
        return address(given)
    if is_address(given):
        return address(given)
    kind = _kind_of_file(given)
    if kind == "directory":
        raise UnreadableError(given, "is a directory", "give a file, or an address")
    if kind == "file":
        return given
    if given.startswith((".", "/", "~")) or (
        ":" not in given and Path(given).suffix in (".txt", ".prom", ".om")
    ):
        raise UnreadableError(given, "is no file")
    return address(given)


def _kind_of_file(given: str) -> str:
    """`directory`, `file`, or "" where there is neither. A shell's `<(command)` is a file too."""
    path = Path(given)
    try:
        return "directory" if path.is_dir() else "file" if path.is_file() or path.is_fifo() else ""
    except (OSError, ValueError):
        return ""  # as a name that is too long for a file


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's loopback."""
    if host.lower() in ("localhost", "ip6-localhost") or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _opened(source: str, request: urllib.request.Request, timeout_s: float) -> Answer:
    """The answer, whatever its status. For loopback no proxy is asked: it has another one."""
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect(), *deadline_handlers(timeout_s)]
    if is_loopback(urllib.parse.urlsplit(source).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        answer: http.client.HTTPResponse = urllib.request.build_opener(*handlers).open(
            request, timeout=timeout_s
        )
    except urllib.error.HTTPError as error:
        return error
    return answer


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows redirects to the same scheme and host only: no other host may get the token."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _received(source: str, answer: Answer, started_s: float, most_bytes: int) -> Fetched:
    parts, size_bytes = [], 0
    while piece := answer.read(PIECE_BYTES):
        parts.append(piece)
        size_bytes += len(piece)
        if size_bytes > most_bytes:
            raise _too_large(source, most_bytes)
    lower = {name.lower(): value for name, value in answer.headers.items()}
    promised = lower.get("content-length", "")
    # `read` with a size does not raise where the body is shorter than its Content-Length.
    if promised.isdecimal() and size_bytes < int(promised):
        raise CutOffError(source, f"sent {size_bytes} of the {promised} bytes that it announced")
    body = b"".join(parts)
    if lower.get("content-encoding", "").strip().lower() == "gzip":
        body = _unpack(source, body, most_bytes)
    _refuse_many_lines(source, body)
    return Fetched(source, answer.status or 0, lower, body, size_bytes, time.perf_counter() - started_s)


def _unpack(source: str, body: bytes, most_bytes: int) -> bytes:
    unpacking = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacking.decompress(body, most_bytes + 1)
    except zlib.error as error:
        raise UnreadableError(source, f"announced gzip, and sent something else: {error}") from None
    if len(unpacked) > most_bytes:
        raise _too_large(source, most_bytes)
    if not unpacking.eof:
        raise CutOffError(source, "sent gzip that is cut off")
    return unpacked


def _too_large(source: str, most_bytes: int) -> UnreadableError:
    return UnreadableError(source, f"holds more than {most_bytes // 2**20} MiB", "it is not read to its end")


def _refuse_many_lines(source: str, body: bytes) -> None:
    if body.count(b"\n") > MAX_LINES:
        raise UnreadableError(source, f"holds more than {MAX_LINES:,} lines", "it is not parsed")


def _read_file(source: str, most_bytes: int) -> Fetched:
    started_s = time.perf_counter()
    try:
        if source == STANDARD_INPUT:
            body = sys.stdin.buffer.read(most_bytes + 1)
        else:
            with Path(source).open("rb") as file:
                body = file.read(most_bytes + 1)
    except OSError as error:
        raise UnreadableError(source, f"cannot be read: {error.strerror}") from None
    if len(body) > most_bytes:
        raise _too_large(source, most_bytes)
    if body[:2] == b"\x1f\x8b":
        body = _unpack(source, body, most_bytes)
    _refuse_many_lines(source, body)
    return Fetched(source, 200, {}, body, len(body), time.perf_counter() - started_s)


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _remedy(source: str) -> str:
    return f"is the service running, and is {urllib.parse.urlsplit(source).netloc} its address?"
