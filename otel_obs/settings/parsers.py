"""How the text of a setting becomes a value, and the error that a user gets for a text that is invalid."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from math import inf, isfinite
from typing import Generic, TypeVar

T = TypeVar("T", covariant=True)

Pairs = tuple[tuple[str, str], ...]
BucketBounds = tuple[tuple[str, tuple[float, ...]], ...]


class Parser(Generic[T]):
    """How the text of a variable becomes a value.

    Attributes:
        read: Makes the value; raises ValueError where the text is invalid.
        expected: The end of the error message for such a text.
        may_be_empty: Whether an empty text counts as unset. False for what guards a page: an empty variable
            must not remove the guard.
    """

    __slots__ = ("expected", "may_be_empty", "read")

    def __init__(self, read: Callable[[str], T], expected: str, may_be_empty: bool = True) -> None:
        self.read, self.expected, self.may_be_empty = read, expected, may_be_empty


def _bool(text: str) -> bool:
    value = text.lower()
    if value in ("true", "1", "yes", "on"):
        return True
    if value in ("false", "0", "no", "off"):
        return False
    raise ValueError(text)


def _one_of(*words: str) -> Parser[str]:
    known = {word.lower(): word for word in words}

    def read(text: str) -> str:
        if text.lower() not in known:
            raise ValueError(text)
        return known[text.lower()]

    return Parser(read, "is not known; expected " + ", ".join(words[:-1]) + " or " + words[-1])


def _whole(low: int, high: float, what: str) -> Parser[int]:
    def read(text: str) -> int:
        number = int(text) if text.isdecimal() else -1
        if not low <= number <= high:
            raise ValueError(text)
        return number

    return Parser(read, f"is not {what}")


def _parts(text: str, separator: str = ",") -> tuple[str, ...]:
    return tuple(part for part in (piece.strip() for piece in text.split(separator)) if part)


def _exporters(text: str) -> tuple[str, ...]:
    names = _parts(text.lower())
    if ("none" in names and len(names) > 1) or not all(
        name.replace("-", "_").isidentifier() for name in names
    ):
        raise ValueError(text)
    return () if names == ("none",) else names


def _service_id(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise ValueError(text)
    return text


def _patterns(text: str) -> tuple[str, ...]:
    patterns = _parts(text)
    try:
        for pattern in patterns:
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError, FutureWarning) as error:  # `-W error` raises the last
        raise ValueError(text) from error
    return patterns


def is_label_name(text: str) -> bool:
    """Whether *text* is a label name that every Prometheus reads."""
    return text.isascii() and text.isidentifier()


def is_family_name(text: str) -> bool:
    """Whether *text* is a family name that every Prometheus reads."""
    return is_label_name(text.replace(":", "_"))


def _name(text: str) -> str:
    if not is_family_name(text):
        raise ValueError(text)
    return text.rstrip("_")


def _pairs(is_name: Callable[[str], bool]) -> Callable[[str], Pairs]:
    def read(text: str) -> Pairs:
        pairs = []
        for part in _parts(text):
            old, _, new = (piece.strip() for piece in part.partition("="))
            if not (is_name(old) and is_name(new)):
                raise ValueError(part)
            pairs.append((old, new))
        if len(dict(pairs)) != len(pairs):
            raise ValueError(text)
        return tuple(pairs)

    return read


def _buckets(text: str) -> BucketBounds:
    families: dict[str, tuple[float, ...]] = {}
    for part in _parts(text, ";"):
        family, _, numbers = (piece.strip() for piece in part.partition("="))
        bounds = [float(number) for number in _parts(numbers)]
        if bounds and bounds[-1] == inf:
            bounds.pop()
        is_ascending = all(low < high for low, high in pairwise(bounds))
        is_new = is_family_name(family) and family not in families
        if not (is_new and bounds and is_ascending and all(map(isfinite, bounds))):
            raise ValueError(part)
        families[family] = tuple(bounds)
    return tuple(families.items())


def _directory(text: str) -> str:
    """The whole path: the process may change its working directory before the path is used."""
    try:
        return os.path.abspath(text) if text else ""
    except OSError:  # the working directory was removed
        return text


def _path(text: str) -> str:
    if not text.startswith("/") or any(mark in text for mark in "?#* "):
        raise ValueError(text)
    return text.rstrip("/") or "/"


def is_trace_address(text: str) -> bool:
    """Whether *text* is an address of the web with one `{trace_id}`, after the host's name."""
    part = r"[^\s{}\\]*"
    pattern = rf"https?://[^\s{{}}\\/?#]+[/?#]{part}\{{trace_id\}}{part}"
    return text.isprintable() and re.fullmatch(pattern, text) is not None


def _trace_address(text: str) -> str:
    if not is_trace_address(text):
        raise ValueError(text)
    return text


def _host(text: str) -> str:
    """A host, or a Unix socket, whose path the kernel has room for: 107 bytes."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or path.endswith("/") or "\0" in path or len(os.fsencode(path)) > 107:
            raise ValueError(text)
    return text


def _token(text: str) -> str:
    if not all("!" <= letter <= "~" for letter in text):
        raise ValueError(text)
    return text


TEXT = Parser(str, "")
DIRECTORY = Parser(_directory, "")
HOST = Parser(
    _host, "is no address; expected a host, or unix: and the full path of a file, of at most 107 bytes"
)
BOOL = Parser(_bool, "is not a switch; expected true or false")
# Every text but `true` is false here, by OpenTelemetry's specification of boolean variables.
DISABLED = Parser(lambda text: text.lower() == "true", "")
EXPORTERS = Parser(
    _exporters, "is not a list of exporters; expected prometheus, otlp, console, or none alone"
)
PATTERNS = Parser(_patterns, "is not a list of regular expressions; expected e.g. /health,/internal/.*")
NAME = Parser(
    _name, "is not a metric name; expected letters, digits and underscores, not beginning with a digit"
)
NAMES = Parser(_parts, "is not a list of names; expected e.g. service.name,service.version")
LABELS = Parser(_pairs(is_label_name), "does not rename labels; expected old=new, e.g. status_code=status")
FAMILIES = Parser(
    _pairs(is_family_name),
    "does not rename families; expected old=new, e.g. http_requests_total=flask_http_request_total",
)
BUCKETS = Parser(
    _buckets,
    "does not set buckets; expected family=ascending numbers, e.g. http_request_duration_seconds=.01,.1,1;"
    "inference_duration_seconds=.1,1,5",
)
PORT = _whole(0, 65535, "a port; expected a number from 0 to 65535")
LIMIT = _whole(1, inf, "a limit; expected a whole number of series, 1 or more")
PATH = Parser(_path, "is not a path; expected it to begin with a slash, e.g. /metrics")
TRACE_ADDRESS = Parser(
    _trace_address,
    "is no address of a trace; expected one such as http://localhost:16686/trace/{trace_id}",
)
SERVICE_ID = Parser(
    _service_id,
    "cannot name a directory; expected up to 64 of A-Z a-z 0-9 . _ -, and first a letter or a digit",
)
TOKEN = Parser(
    _token,
    "is not a bearer token; expected visible ASCII characters without spaces",
    may_be_empty=False,
)
GUARD_FILE = Parser(str, "names no file; expected a file's name, or unset it", may_be_empty=False)
EXEMPLARS = _one_of("always_on", "always_off", "trace_based")
PROFILE = _one_of("classic", "semconv")
OTLP_PROTOCOL = _one_of("grpc", "http/protobuf")
TEMPORALITY = _one_of("cumulative", "delta", "lowmemory")
HISTOGRAMS = _one_of("explicit_bucket_histogram", "base2_exponential_bucket_histogram")
LONGEST_INTERVAL_MS = 365 * 24 * 60 * 60 * 1000
INTERVAL = _whole(
    1,
    LONGEST_INTERVAL_MS,
    "an interval; expected a whole number of milliseconds from 1 to 31536000000, a year",
)
CALLBACK_AGE = _whole(0, 5_000, "an age; expected whole milliseconds from 0 to 5000")
HTTP = _one_of("on", "off", "upstream")
LABEL_ORDER = _one_of("name", "declared")
SCOPE_LABELS = _one_of("auto", "on", "off")
TRANSLATION = _one_of(
    "UnderscoreEscapingWithSuffixes",
    "UnderscoreEscapingWithoutSuffixes",
    "NoUTF8EscapingWithSuffixes",
    "NoTranslation",
)


def variable_text(value: object) -> str:
    """The text that a variable would have for a Python value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        separator = "," if all(isinstance(item, str) for item in value.values()) else ";"
        return separator.join(f"{key}={variable_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(map(str, value))
    return str(value)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like *name*; empty where none is."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(known), 1, 0.5)), "")
