"""The Prometheus text format, version 0.0.4 (and 1.0.0, which is the same with quoted UTF-8 names).

A scrape of 120,000 lines is formatted here, so every series costs one `%` on a template that holds all
its lines, and one `replace` that puts its label block into each of them.

Source: Prometheus, Exposition formats, Text-based format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from otel_obs.cells.layout import Kind
from otel_obs.exposition.classic import to_classic
from otel_obs.exposition.lexical import (
    MILLION,
    escape_help,
    escape_value,
    number,
    quoted_label,
    quoted_name,
    to_utf8,
)
from otel_obs.exposition.names import Labels, Naming
from otel_obs.exposition.plan import Family, FamilyType
from otel_obs.exposition.series import Part, parts, prepare

LINES_A_CHUNK = 2500
"""About one millisecond's work: an event loop breathes between chunks."""

_TEXT_TYPES: dict[FamilyType, str] = {
    "info": "gauge",
    "stateset": "gauge",
    "gaugehistogram": "histogram",
    "unknown": "untyped",
}
_BLOCK = b"\0"


def encode(families: Iterable[Family], naming: Naming) -> Iterator[bytes]:
    """Encode *families*; the chunks are meant to be joined or streamed, and some are empty."""
    for family in families:
        yield comments(family)
        yield from prepare(family, naming, label_block)
        for part in parts(family, naming, label_block):
            yield from encode_part(family.name, part, family.unit)


def comments(family: Family) -> bytes:
    """The lines that begin with `#`."""
    name = quoted_name(family.name)
    kind = _TEXT_TYPES.get(family.type, family.type)
    return to_utf8(f"# HELP {name} {escape_help(family.help)}\n# TYPE {name} {kind}\n")


def label_block(labels: Labels) -> bytes:
    """The labels of a series as they stand between braces: `code="200",method="GET"`."""
    return to_utf8(",".join([f'{quoted_label(name)}="{escape_value(value)}"' for name, value in labels]))


def encode_part(name: str, part: Part[bytes], unit: str = "") -> Iterator[bytes]:
    """Encode the series of one part under the family *name*."""
    if part.kind is Kind.EXPONENTIAL:
        part = to_classic(part, unit)
    is_histogram = part.kind is Kind.HISTOGRAM
    step = max(1, LINES_A_CHUNK // (len(part.bounds) + 3 if is_histogram else 1))
    for start in range(0, len(part.labels), step):
        labels, values = part.labels[start : start + step], part.values[start : start + step]
        if is_histogram:
            yield b"".join(histogram_lines(name, part.bounds, labels, values))
        else:
            yield b"".join(scalar_lines(name, labels, values))


def scalar_lines(name: str, labels: Sequence[bytes], values: Sequence[float]) -> Iterator[bytes]:
    """One line a series."""
    line, bare = (_line(name, has_labels).replace(b"\0", b"%b") + b" %b\n" for has_labels in (True, False))
    for block, value in zip(labels, values, strict=True):
        text = number(value).encode()
        yield line % (block, text) if block else bare % text


class _Templates(NamedTuple):
    """All lines of one histogram series; `counts` has `%d.0` where `strings` has `%b`, but for the sum."""

    counts: bytes
    strings: bytes


def histogram_lines(
    name: str, bounds: tuple[float, ...], labels: Sequence[bytes], values: Sequence[Sequence[float]]
) -> Iterator[bytes]:
    """All lines of a series at a time; the bucket counts in *values* are not cumulative."""
    labelled, bare = (_histogram_templates(name, bounds, has_labels) for has_labels in (True, False))
    for block, row in zip(labels, values, strict=True):
        templates = labelled if block else bare
        counts = list(accumulate(row))
        counts[-1] = count = counts[-2]
        total = number(row[-1]).encode()
        if count < MILLION and count % 1 == 0:
            lines = templates.counts % (*counts, total)
        else:
            lines = templates.strings % (*[number(count).encode() for count in counts], total)
        yield lines.replace(_BLOCK, block)


@lru_cache(maxsize=1024)
def _histogram_templates(name: str, bounds: tuple[float, ...], has_labels: bool) -> _Templates:
    bucket = _line(f"{name}_bucket", has_labels)
    les = [f'le="{number(bound)}"'.encode() for bound in (*bounds, float("inf"))]
    lines = [*(_with_label(bucket, le) for le in les), _line(f"{name}_count", has_labels)]
    total = _line(f"{name}_sum", has_labels)
    end = total + b" %b\n"
    counts, strings = (b"".join(line + value for line in lines) + end for value in (b" %d.0\n", b" %b\n"))
    return _Templates(counts, strings)


def _line(name: str, has_labels: bool) -> bytes:
    """The beginning of a sample's line, safe for `%`, with a NUL for the label block."""
    quoted = quoted_name(name)
    inside = [quoted] if quoted != name else []
    if has_labels:
        inside.append("\0")
    braces = f"{{{','.join(inside)}}}" if inside else ""
    return to_utf8(("" if quoted != name else name) + braces).replace(b"%", b"%%")


def _with_label(line: bytes, label: bytes) -> bytes:
    """Add one label to what `_line` made."""
    return line[:-1] + b"," + label + b"}" if line.endswith(b"}") else line + b"{" + label + b"}"
