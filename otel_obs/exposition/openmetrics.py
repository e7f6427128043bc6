"""OpenMetrics 1.0.0: the text format with exemplars, start times and units.

What the format forbids is left out, since a strict parser refuses the whole exposition for it: `_sum` and
`_count` of a histogram whose sum is no counter (negative bounds, or a negative sum or one that is not a
number), points of counters that are negative or not a number, and units of names that do not end with them.

Source: OpenMetrics, a cloud-native, highly scalable metrics protocol, version 1.0.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from math import isfinite

from otel_obs.cells.layout import Kind
from otel_obs.cells.snapshot import Exemplar
from otel_obs.exposition.from_client import OtherFamily, OtherSample
from otel_obs.exposition.lexical import escape_help_openmetrics, number, quoted_name, to_utf8
from otel_obs.exposition.line_templates import LINES_A_CHUNK, histogram_lines, label_block, sample_start
from otel_obs.exposition.names import TOTAL, Spelling
from otel_obs.exposition.parts import Part, classic
from otel_obs.exposition.plan import Family, FamilyType
from otel_obs.exposition.readable import readable
from otel_obs.exposition.series import encode_labels, parts
from otel_obs.exposition.shown_exemplars import exemplar_labels, exemplar_to_show, latest_by_bucket
from otel_obs.exposition.wire_format import WireFormat

END = b"# EOF\n"

_HISTOGRAMS = (Kind.HISTOGRAM, Kind.EXPONENTIAL)
_EXEMPLAR_LINES = 8  # an exemplar costs as much as so many lines


def encode(families: Iterable[Family], others: Iterable[OtherFamily], naming: Spelling) -> Iterator[bytes]:
    """Encode *families*, then *others*; the chunks are meant to be joined or streamed, some are empty."""
    for family in families:
        yield from encode_labels(family, naming, label_block)
        shown = parts(family, naming, label_block)
        if family.type == "unknown" and shown and shown[0].kind in _HISTOGRAMS:
            yield from _encode_apart(family, shown)
            continue
        yield comments(family)
        for part in shown:
            yield from _encode_part(family, part, naming)
    for other in map(readable, others):
        yield comments(other)
        yield from _encode_other(other, naming)
    yield END


def comments(family: Family | OtherFamily) -> bytes:
    """The lines that begin with `#`."""
    name = quoted_name(family.stem)
    lines = f"# HELP {name} {escape_help_openmetrics(family.help)}\n# TYPE {name} {_type(family)}\n"
    if family.unit and _type(family) not in ("info", "stateset") and family.stem.endswith(f"_{family.unit}"):
        lines += f"# UNIT {name} {family.unit}\n"
    return to_utf8(lines)


def exemplar_text(exemplar: Exemplar, naming: Spelling) -> bytes:
    """What follows a sample's value: ` # {trace_id="…"} 0.5 1700000000.0`."""
    labels = label_block(exemplar_labels(exemplar, naming))
    when = f" {exemplar.unix_s!r}" if isfinite(exemplar.unix_s) else ""
    return b" # {%b} %b" % (labels, f"{number(exemplar.value)}{when}".encode())


def _type(family: Family | OtherFamily) -> FamilyType:
    """The type to write: a counter without `_total` is `unknown`, as in prometheus/common."""
    if family.type == "counter" and not family.name.endswith(TOTAL):
        return "unknown"
    return family.type


def _encode_part(family: Family, part: Part[bytes], naming: Spelling) -> Iterator[bytes]:
    if part.kind is Kind.EXPONENTIAL:
        part = classic(part, family.unit)
    if part.kind is Kind.HISTOGRAM:
        lines_each = len(part.bounds) + 4
        lines = _histograms(family, part, naming)
    else:
        lines_each = 2
        lines = _scalars(family, part, naming)
    if part.exemplars:
        lines_each *= _EXEMPLAR_LINES
    step = max(1, LINES_A_CHUNK // lines_each)
    while chunk := b"".join(islice(lines, step)):
        yield chunk


def _encode_apart(family: Family, shown: Iterable[Part[bytes]]) -> Iterator[bytes]:
    """Encode a histogram of unknown type: each name of its samples is a family."""
    apart: dict[str, list[bytes]] = {"_bucket": [], "_count": [], "_sum": []}
    for part in shown:
        histogram = classic(part, family.unit) if part.kind is Kind.EXPONENTIAL else part
        for text in histogram_lines(family.name, histogram.bounds, histogram.labels, histogram.values):
            *buckets, count, total, _ = text.split(b"\n")
            for suffix, lines in zip(apart, (buckets, [count], [total]), strict=True):
                apart[suffix] += lines
        yield b""
    for suffix, lines in apart.items():
        yield comments(replace(family, name=family.name + suffix))
        for start in range(0, len(lines), LINES_A_CHUNK):
            yield b"\n".join([*lines[start : start + LINES_A_CHUNK], b""])


def _scalars(family: Family, part: Part[bytes], naming: Spelling) -> Iterator[bytes]:
    is_counter = _type(family) == "counter"
    for at, (block, value) in enumerate(zip(part.labels, part.values, strict=True)):
        if is_counter and not value >= 0:
            continue
        line = sample_start(family.name, block) + number(value).encode()
        if not is_counter:
            yield line + b"\n"
            continue
        exemplars = part.exemplars.get(at)
        if exemplars:
            line += exemplar_text(exemplar_to_show(exemplars), naming)
        yield line + b"\n" + _created(family.stem, block, part.created_s[at])


def _histograms(family: Family, part: Part[bytes], naming: Spelling) -> Iterator[bytes]:
    has_total = not part.bounds or part.bounds[0] >= 0
    texts = histogram_lines(family.name, part.bounds, part.labels, part.values)
    for at, (block, row, text) in enumerate(zip(part.labels, part.values, texts, strict=True)):
        if not _is_countable(row):
            continue
        exemplars = part.exemplars.get(at)
        if exemplars or not has_total or not row[-1] >= 0:
            text = _rewritten(text, has_total and row[-1] >= 0, exemplars or (), naming)
        yield text + _created(family.name, block, part.created_s[at])


def _is_countable(row: Sequence[float]) -> bool:
    """Whether the buckets hold counts; a damaged cell may hold anything."""
    counts = row[:-1]
    return isfinite(sum(counts)) and not [count for count in counts if count < 0 or count % 1]


def _rewritten(text: bytes, has_total: bool, exemplars: Iterable[Exemplar], naming: Spelling) -> bytes:
    """Put exemplars behind the buckets of one series, and take `_count` and `_sum` off it."""
    lines = text.split(b"\n")[:-1]
    buckets = lines[:-2]
    for bucket, exemplar in latest_by_bucket(exemplars).items():
        if 0 <= bucket < len(buckets):
            lines[bucket] += exemplar_text(exemplar, naming)
    return b"\n".join([*(lines if has_total else lines[:-2]), b""])


def _created(stem: str, block: bytes, unix_s: float) -> bytes:
    if not (unix_s > 0 and isfinite(unix_s)):
        return b""
    return sample_start(f"{stem}_created", block) + number(unix_s).encode() + b"\n"


def _encode_other(family: OtherFamily, naming: Spelling) -> Iterator[bytes]:
    samples = iter(family.samples)
    while chunk := b"".join(
        [_other_line(family, one, naming) for one in islice(samples, LINES_A_CHUNK // 4)]
    ):
        yield chunk


def _other_line(family: OtherFamily, sample: OtherSample, naming: Spelling) -> bytes:
    start = sample_start(family.stem + sample.suffix, label_block(sample.labels))
    when = "" if sample.unix_s is None else f" {sample.unix_s!r}"
    exemplar = exemplar_text(sample.exemplar, naming) if sample.exemplar else b""
    return b"%b%b%b\n" % (start, f"{number(sample.value)}{when}".encode(), exemplar)


WIRE = WireFormat(
    "openmetrics",
    "application/openmetrics-text",
    encode,
    versions=("1.0.0", "0.0.1"),
    escaped_versions=("1.0.0",),
    charset="utf-8",
)
