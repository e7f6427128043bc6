"""Numbers, quoting and escaping as the Prometheus text formats spell them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Escaping = Literal["underscores", "allow-utf-8", "dots", "values"]
"""What becomes of a character that classic names cannot hold; a scraper asks for one in `Accept`."""

MILLION = 1e6
"""From here on Go, and so every Prometheus client, writes a number with an exponent."""

REPLACEMENT = "\ufffd"

_CLASSIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_CLASSIC_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")
_INFINITY = float("inf")
_NOT_FINITE = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_EXPONENTS = [f"e+{point - 1:02d}" for point in range(20)]  # from 1e16 on a repr has its own


def number(value: float) -> str:
    """Spell a value or a bucket's bound as prometheus_client does: `5.0`, `1e+06`, `+Inf`, `-Inf`, `NaN`."""
    if -_INFINITY < value < MILLION:
        return repr(float(value))
    digits = repr(float(value))
    point = digits.find(".")
    if point < 7:
        return _NOT_FINITE.get(digits, digits)
    mantissa = f"{digits[0]}.{digits[1:point]}{digits[point + 1 :]}".rstrip("0.")
    return mantissa + _EXPONENTS[point]


def escape_value(value: str) -> str:
    """Escape a label value (both text formats) or a quoted name."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def escape_help(text: str) -> str:
    """Escape a help text for the text format 0.0.4, where a quote stands for itself."""
    return text.replace("\\", r"\\").replace("\n", r"\n")


def escape_help_openmetrics(text: str) -> str:
    """Escape a help text for OpenMetrics."""
    return escape_value(text)


def to_utf8(text: str) -> bytes:
    """Encode *text*; a lone surrogate, which UTF-8 cannot hold, becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub(REPLACEMENT, text).encode()


def is_classic_name(name: str) -> bool:
    """Whether *name* can stand unquoted as the name of a metric."""
    return _CLASSIC_NAME.match(name) is not None


def is_classic_label(name: str) -> bool:
    """Whether *name* can stand unquoted as the name of a label."""
    return _CLASSIC_LABEL.match(name) is not None


@lru_cache(maxsize=4096)
def escape_name(name: str, escaping: Escaping) -> str:
    """Rewrite the name of a metric for a scraper that asks for *escaping*.

    Source: Prometheus, UTF-8 escaping schemes; prometheus_client does the same.
    """
    return _escape(name, escaping, colon=True)


@lru_cache(maxsize=4096)
def escape_label(name: str, escaping: Escaping) -> str:
    """Rewrite the name of a label for a scraper that asks for *escaping*."""
    return _escape(name, escaping, colon=False)


@lru_cache(maxsize=4096)
def quoted_name(name: str) -> str:
    """The name of a metric as a `# TYPE` line holds it: quoted where it is not a classic one."""
    return name if is_classic_name(name) else f'"{escape_value(name)}"'


@lru_cache(maxsize=4096)
def quoted_label(name: str) -> str:
    """The name of a label as a sample holds it: quoted where it is not a classic one."""
    return name if is_classic_label(name) else f'"{escape_value(name)}"'


def _escape(name: str, escaping: Escaping, colon: bool) -> str:
    is_classic = is_classic_name(name) if colon else is_classic_label(name)
    if escaping == "allow-utf-8":
        return name.replace("\0", "_") or "_"  # Prometheus' lexer takes NUL for the end
    if is_classic and escaping != "dots":
        return name
    escaped = "".join(
        character if _stands(character, at, colon, escaping) else _substitute(character, escaping)
        for at, character in enumerate(name)
    )
    return f"U__{escaped}" if escaping == "values" else escaped or "_"


def _stands(character: str, at: int, colon: bool, escaping: Escaping) -> bool:
    if character == "_":
        return escaping == "underscores"
    if character == ":":
        return colon
    return character.isascii() and (character.isalpha() or (character.isdigit() and at > 0))


def _substitute(character: str, escaping: Escaping) -> str:
    if escaping == "underscores":
        return "_"
    if character == "_":
        return "__"
    if escaping == "dots":
        return "_dot_" if character == "." else "__"
    if _SURROGATE.match(character):
        return "_FFFD_"
    return f"_{ord(character):x}_"
