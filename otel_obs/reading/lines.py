"""Parse one line of a text exposition: names, labels and numbers, in time linear in its length."""

from __future__ import annotations

import re
from collections.abc import Mapping

from otel_obs.reading.page import ScrapedExemplar, ScrapedSeries

_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_BRACES = rf'\{{[^"}}]*(?:{_STRING}[^"}}]*)*\}}'
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"

# Neighbouring parts of these patterns never match the same character, so that matching takes linear time.
PLAIN = re.compile(rf"({_NAME}(?:{_BRACES})?) ([^ \t]+)\Z")
"""The form of nearly every line: a series, one blank, a value."""
QUOTED = re.compile(_STRING)
"""A quoted name."""
_SERIES_NAME = re.compile(_NAME)
_SERIES_LABELS = re.compile(_BRACES)
_LABEL = re.compile(
    rf"[ \t]*(?:([a-zA-Z_][a-zA-Z0-9_]*)|({_STRING}))[ \t]*(?:=[ \t]*({_STRING})[ \t]*)?([,}}])"
)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)
_NOT_FINITE = re.compile(r"(?:[+-]?inf(?:inity)?|[+-]?nan)\Z", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(.)")
_HELP_ESCAPE = re.compile(r"\\([\\n])")
_ESCAPES = {"\\": "\\", '"': '"', "n": "\n"}

SHOWN_CHARACTERS = 120


class LineError(ValueError):
    """A line that cannot be read; the message says why."""


def shown(text: str) -> str:
    """*text* as messages quote it: on one line, and shortened."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…")


def skip_blanks(text: str, position: int = 0) -> int:
    """The position of the next character that is neither a blank nor a tab."""
    while position < len(text) and text[position] in " \t":
        position += 1
    return position


def words(text: str) -> list[str]:
    """The parts of *text* between blanks and tabs."""
    return [word for word in text.replace("\t", " ").split(" ") if word]


def split_series(text: str) -> tuple[str, str]:
    """Split a sample's line: the text of the series, and the rest.

    Raises:
        LineError: The line does not start with a series.
    """
    start = skip_blanks(text)
    name = _SERIES_NAME.match(text, start)
    end = name.end() if name else start
    brace = skip_blanks(text, end)
    if text[brace : brace + 1] != "{":
        if name is None or text[end : end + 1] not in (" ", "\t", ""):
            raise LineError(f"{shown(text)} does not begin with the name of a metric")
        return text[start:end], text[end:]
    labels = _SERIES_LABELS.match(text, brace)
    if labels is None:
        raise LineError(f"the labels of {shown(text)} do not end")
    return text[start:end] + labels[0], text[labels.end() :]


def read_series(text: str) -> ScrapedSeries:
    """Parse a series that `split_series` returned.

    Raises:
        LineError: A label is invalid or occurs twice, or the name is missing.
    """
    name, brace, _ = text.partition("{")
    labels, quoted = read_labels(text[len(name) :]) if brace else ({}, None)
    if quoted is not None:
        if name:
            raise LineError(f"{shown(text)} has two names")
        name = quoted
    if not name:
        raise LineError(f"{shown(text)} has no name")
    return ScrapedSeries(name, labels, tuple(sorted(labels.items())))


def read_labels(text: str) -> tuple[dict[str, str], str | None]:
    """Parse labels in braces: the labels, and the quoted name of the metric if it is among them.

    Raises:
        LineError: A label is invalid or occurs twice.
    """
    labels: dict[str, str] = {}
    metric: str | None = None
    position = 1
    while text[skip_blanks(text, position)] != "}":
        match = _LABEL.match(text, position)
        if match is None:
            raise LineError(f"{shown(text[position:])} is not a label")
        name, quoted, value, end = match.groups()
        key = name if name is not None else unescape(quoted[1:-1])
        if value is None:
            if quoted is None or metric is not None:
                raise LineError(f"the label {shown(key)} has no value")
            metric = key
        elif key in labels:
            raise LineError(f"the label {shown(key)} is there twice")
        else:
            labels[key] = unescape(value[1:-1])
        if end == "}":
            return labels, metric
        position = match.end()
    return labels, metric


def unescape(text: str) -> str:
    r"""Read `\\`, `\"` and `\n`.

    Raises:
        LineError: Another character is escaped.
    """
    return _ESCAPE.sub(_unescaped, text) if "\\" in text else text


def unescape_help(text: str) -> str:
    """Decode the help text of the text format, which escapes only backslashes and newlines."""
    return _HELP_ESCAPE.sub(lambda match: _ESCAPES[match[1]], text) if "\\" in text else text


def _unescaped(match: re.Match[str]) -> str:
    try:
        return _ESCAPES[match[1]]
    except KeyError:
        raise LineError(f'{match[0]} is not an escape; only \\\\, \\" and \\n are') from None


def read_number(text: str) -> float:
    """Parse a number as Go and OpenMetrics write it.

    Raises:
        LineError: It is not a number.
    """
    if _NUMBER.match(text) or _NOT_FINITE.match(text):
        return float(text)
    raise LineError(f"{shown(text)} is not a number")


def read_exemplar(text: str) -> ScrapedExemplar:
    """Parse the text after the `#` of an exemplar.

    Raises:
        LineError: It is not an exemplar.
    """
    series, rest = split_series(text)
    if not series.startswith("{"):
        raise LineError(f"{shown(text)} is not an exemplar")
    labels, quoted = read_labels(series)
    parts = words(rest)
    if quoted is not None or len(parts) not in (1, 2):
        raise LineError(f"{shown(text)} is not an exemplar")
    if _characters(labels) > 128:
        raise LineError(f"the exemplar {shown(text)} has more than 128 characters of labels")
    return ScrapedExemplar(labels, read_number(parts[0]), read_number(parts[1]) if parts[1:] else None)


def _characters(labels: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) for name, value in labels.items())
