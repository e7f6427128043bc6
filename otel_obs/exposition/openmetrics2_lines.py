"""OpenMetrics 2.0.0-rc0: one line a series, also of histograms, with native buckets and start times.

A family has the name of its samples, with all suffixes; no other name is reserved for it. An exponential
histogram has both kinds of buckets in its line: a reader that takes no native ones finds what OpenMetrics 1.0
would tell it. Exemplars without a time are left out, since the format forbids them, and so are points of
counters that are negative or not a number. A family of prometheus_client with series that lack a count or a
sum, without which there is no value, is written under the full names of its samples with type `unknown`.

Source: OpenMetrics 2.0, a release candidate of March 2026.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from math import isfinite

from otel_obs.cells.layout import Kind
from otel_obs.cells.snapshot import Exemplar
from otel_obs.exposition.classic import boundaries, classic_row
from otel_obs.exposition.composites import (
    has_count_and_sum,
    histogram_value,
    is_composite,
    native_fields,
    other_value,
    series_of,
)
from otel_obs.exposition.from_client import OtherFamily, OtherSample
from otel_obs.exposition.lexical import escape_help_openmetrics, number, quoted_name, to_utf8
from otel_obs.exposition.line_templates import LINES_A_CHUNK, label_block, sample_start, scalar_lines
from otel_obs.exposition.names import Labels, Spelling
from otel_obs.exposition.native import to_native
from otel_obs.exposition.openmetrics import END, exemplar_text
from otel_obs.exposition.parts import Part, moved
from otel_obs.exposition.plan import STEM_SUFFIXES, Family, FamilyType, warn_once
from otel_obs.exposition.readable import readable
from otel_obs.exposition.series import encode_labels, parts
from otel_obs.exposition.shown_exemplars import exemplar_to_show, latest_by_bucket

_UNIT = re.compile(r"[a-zA-Z0-9_:]+\Z")
_WITHOUT_UNIT = ("info", "stateset")
_EXEMPLAR_LINES = 8  # an exemplar costs as much as so many lines
_COUNTER_LINES = 5  # and so do a counter and its start
_NATIVE_LINES = 250  # and so do native buckets


def encode(families: Iterable[Family], others: Iterable[OtherFamily], naming: Spelling) -> Iterator[bytes]:
    """Encode *families*, then *others*; the chunks are meant to be joined or streamed, some are empty."""
    for family in families:
        yield from encode_labels(family, naming, label_block)
        yield comments(family)
        for part in parts(family, naming, label_block):
            yield from _encode_part(family, part, naming)
    for other in others:
        for family_of_whole in _whole(readable(other, has_any_sum=True)):
            yield comments(family_of_whole)
            yield from _encode_other(family_of_whole, naming)
    yield END


def comments(family: Family | OtherFamily) -> bytes:
    """The lines that begin with `#`."""
    name, family_type = quoted_name(family.name), _type(family)
    lines = f"# TYPE {name} {family_type}\n"
    if family_type not in _WITHOUT_UNIT and _UNIT.match(family.unit):
        lines += f"# UNIT {name} {family.unit}\n"
    text = family.help.rstrip("\r")  # which Prometheus takes for a part of the line's end
    if text:
        lines += f"# HELP {name} {escape_help_openmetrics(text)}\n"
    return to_utf8(lines)


def _type(family: Family | OtherFamily) -> FamilyType:
    """The type to write: what is no `…_info` is no info metric to a parser."""
    if family.type == "info" and not family.name.endswith(STEM_SUFFIXES["info"]):
        return "unknown"
    return family.type


def _encode_part(family: Family, part: Part[bytes], naming: Spelling) -> Iterator[bytes]:
    if part.kind is Kind.EXPONENTIAL:
        lines, lines_each = _exponentials(family, part, naming), _NATIVE_LINES
    elif part.kind is Kind.HISTOGRAM:
        lines, lines_each = _histograms(family, part, naming), len(part.bounds) + 4
    elif family.type == "counter":
        lines, lines_each = _counters(family, part, naming), _COUNTER_LINES
    else:
        lines, lines_each = scalar_lines(family.name, part.labels, part.values), 1
    if part.exemplars:
        lines_each *= _EXEMPLAR_LINES
    yield from _chunks(lines, lines_each)


def _chunks(lines: Iterator[bytes], lines_each: int) -> Iterator[bytes]:
    step = max(1, LINES_A_CHUNK // lines_each)
    while chunk := list(islice(lines, step)):
        yield b"".join(chunk)


def _counters(family: Family, part: Part[bytes], naming: Spelling) -> Iterator[bytes]:
    for at, (block, value) in enumerate(zip(part.labels, part.values, strict=True)):
        if value >= 0:
            exemplars = part.exemplars.get(at)
            timed = _timed(exemplars) if exemplars else []
            shown = [exemplar_to_show(timed)] if timed else []
            line = sample_start(family.name, block) + number(value).encode()
            yield line + _end(part.created_s[at], shown, naming)


def _histograms(family: Family, part: Part[bytes], naming: Spelling) -> Iterator[bytes]:
    for at, (block, row) in enumerate(zip(part.labels, part.values, strict=True)):
        value = histogram_value(part.bounds, row)
        if value is not None:
            shown = _by_bucket(part.exemplars.get(at, ()))
            yield sample_start(family.name, block) + value + _end(part.created_s[at], shown, naming)


def _exponentials(family: Family, part: Part[bytes], naming: Spelling) -> Iterator[bytes]:
    exponents = boundaries(family.unit)
    bounds = tuple(2.0**exponent for exponent in exponents)
    for at, (block, value) in enumerate(zip(part.labels, part.values, strict=True)):
        native = to_native(value)
        fields = native_fields(native) if native is not None else b""
        text = histogram_value(bounds, classic_row(value, exponents), fields)
        if text is not None:
            shown = _by_bucket(moved(part.exemplars.get(at, []), bounds))
            yield sample_start(family.name, block) + text + _end(part.created_s[at], shown, naming)


def _timed(exemplars: Iterable[Exemplar]) -> list[Exemplar]:
    return [exemplar for exemplar in exemplars if isfinite(exemplar.unix_s)]


def _by_bucket(exemplars: Iterable[Exemplar]) -> list[Exemplar]:
    shown = latest_by_bucket(_timed(exemplars))
    return [shown[bucket] for bucket in sorted(shown)]


def _end(created_s: float, exemplars: Sequence[Exemplar], naming: Spelling) -> bytes:
    """What follows a value, or its time: ` st@1700000000.5 # {trace_id="…"} 0.5 1700000001.0`."""
    start = f" st@{created_s!r}".encode() if created_s > 0 and isfinite(created_s) else b""
    if not exemplars:
        return start + b"\n"
    return b"%b%b\n" % (start, b"".join([exemplar_text(exemplar, naming) for exemplar in exemplars]))


def _whole(family: OtherFamily) -> list[OtherFamily]:
    """*family*, or what its samples are without a type where one of its series has no count or no sum."""
    if not is_composite(family):
        return [family]
    if all(has_count_and_sum(family, samples) for samples in series_of(family).values()):
        return [family]
    warn_once(
        f"the {family.type} {family.name!r} of prometheus_client is of unknown type in OpenMetrics 2.0: "
        "it has series without a count and a sum"
    )
    return family.as_unknown()


def _encode_other(family: OtherFamily, naming: Spelling) -> Iterator[bytes]:
    series = series_of(family)
    samples_each = max(1, len(family.samples) // max(1, len(series)))
    lines = (_other_line(family, labels, samples, naming) for labels, samples in series.items())
    yield from _chunks(lines, 4 * samples_each)


def _other_line(family: OtherFamily, labels: Labels, samples: list[OtherSample], naming: Spelling) -> bytes:
    """The line of one series: of its samples, one gives the value, or all do."""
    start = sample_start(family.name, label_block(labels))
    value = other_value(family, samples) if is_composite(family) else number(samples[0].value).encode()
    unix_s = samples[0].unix_s
    when = b"" if unix_s is None else f" {unix_s!r}".encode()
    created_s = next((sample.value for sample in samples if sample.suffix == "_created"), 0.0)
    shown = _timed(sample.exemplar for sample in samples if sample.exemplar)
    return start + value + when + _end(created_s, shown, naming)
