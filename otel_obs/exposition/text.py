"""The Prometheus text format, version 0.0.4 (and 1.0.0, which is the same with quoted UTF-8 names).

Source: Prometheus, Exposition formats, Text-based format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from otel_obs.cells.layout import Kind
from otel_obs.exposition.from_client import OtherFamily, OtherSample
from otel_obs.exposition.lexical import escape_help, number, quoted_name, to_utf8
from otel_obs.exposition.line_templates import (
    LINES_A_CHUNK,
    histogram_lines,
    label_block,
    sample_start,
    scalar_lines,
)
from otel_obs.exposition.names import Spelling
from otel_obs.exposition.parts import Part, classic
from otel_obs.exposition.plan import Family, FamilyType
from otel_obs.exposition.series import encode_labels, parts
from otel_obs.exposition.wire_format import WireFormat

_TYPES: dict[FamilyType, str] = {
    "info": "gauge",
    "stateset": "gauge",
    "gaugehistogram": "histogram",
    "unknown": "untyped",
}
_OPENMETRICS_ONLY = ("_created", "_gcount", "_gsum")


def encode(families: Iterable[Family], others: Iterable[OtherFamily], naming: Spelling) -> Iterator[bytes]:
    """Encode *families*, then *others*; the chunks are meant to be joined or streamed, some are empty."""
    for family in families:
        yield comments(family.name, family.type, family.help)
        yield from encode_labels(family, naming, label_block)
        for part in parts(family, naming, label_block):
            yield from _encode_part(family, part)
    for other in others:
        yield from _encode_other(other)


def comments(name: str, family_type: FamilyType, help_text: str) -> bytes:
    """The lines that begin with `#`."""
    name = quoted_name(name)
    kind = _TYPES.get(family_type, family_type)
    return to_utf8(f"# HELP {name} {escape_help(help_text)}\n# TYPE {name} {kind}\n")


def _encode_part(family: Family, part: Part[bytes]) -> Iterator[bytes]:
    if part.kind is Kind.EXPONENTIAL:
        part = classic(part, family.unit)
    is_histogram = part.kind is Kind.HISTOGRAM
    step = max(1, LINES_A_CHUNK // (len(part.bounds) + 3 if is_histogram else 1))
    for start in range(0, len(part.labels), step):
        labels, values = part.labels[start : start + step], part.values[start : start + step]
        if is_histogram:
            yield b"".join(histogram_lines(family.name, part.bounds, labels, values))
        else:
            yield b"".join(scalar_lines(family.name, labels, values))


def _encode_other(family: OtherFamily) -> Iterator[bytes]:
    """Samples that only OpenMetrics has types for follow as gauges, as in prometheus_client."""
    plain = (sample for sample in family.samples if sample.suffix not in _OPENMETRICS_ONLY)
    yield comments(family.name, family.type, family.help)
    yield from _other_lines(family, plain)
    for suffix in _OPENMETRICS_ONLY:
        rest = [sample for sample in family.samples if sample.suffix == suffix]
        if rest:
            yield comments(family.stem + suffix, "gauge", family.help)
            yield from _other_lines(family, iter(rest))


def _other_lines(family: OtherFamily, samples: Iterator[OtherSample]) -> Iterator[bytes]:
    while chunk := b"".join([_other_line(family, sample) for sample in islice(samples, LINES_A_CHUNK // 4)]):
        yield chunk


def _other_line(family: OtherFamily, sample: OtherSample) -> bytes:
    when = "" if sample.unix_s is None else f" {int(sample.unix_s * 1000)}"
    value = f"{number(sample.value)}{when}\n"
    return sample_start(family.stem + sample.suffix, label_block(sample.labels)) + value.encode()


WIRE = WireFormat(
    "text", "text/plain", encode, versions=("0.0.4", "1.0.0"), escaped_versions=("1.0.0",), charset="utf-8"
)
