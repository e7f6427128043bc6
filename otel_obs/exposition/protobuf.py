"""Delimited `io.prometheus.client.MetricFamily` messages, written by hand: no runtime needs protobuf for it.

Source: prometheus/client_model, io/prometheus/client/metrics.proto; Protocol Buffers, Encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from math import isfinite

from otel_obs.cells.layout import Kind
from otel_obs.cells.snapshot import Exemplar, ExponentialValue
from otel_obs.exposition.from_client import OtherFamily, OtherSample
from otel_obs.exposition.lexical import to_utf8
from otel_obs.exposition.names import Labels, Spelling
from otel_obs.exposition.native import ZERO_THRESHOLD, Side, to_native
from otel_obs.exposition.parts import Part
from otel_obs.exposition.plan import Family, FamilyType, warn_once
from otel_obs.exposition.readable import readable
from otel_obs.exposition.series import encode_labels, parts
from otel_obs.exposition.shown_exemplars import exemplar_labels, exemplar_to_show, latest_by_bucket
from otel_obs.exposition.wire_format import WireFormat

_COUNTER, _GAUGE, _SUMMARY, _UNTYPED, _HISTOGRAM, _GAUGE_HISTOGRAM = range(6)
_TYPES: dict[FamilyType, int] = {
    "counter": _COUNTER,
    "summary": _SUMMARY,
    "unknown": _UNTYPED,
    "histogram": _HISTOGRAM,
    "gaugehistogram": _GAUGE_HISTOGRAM,
}
_SERIES_A_CHUNK = 100
_SERIES_A_JOIN = 2000
_INFINITY = float("inf")
_DOUBLE = struct.Struct("<d").pack


def varint(value: int) -> bytes:
    """An unsigned integer, seven bits a byte, the lowest first; negative ones as 64-bit two's complement."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SMALL = [varint(value) for value in range(4096)]
_TAGS = {(field, wire): varint(field << 3 | wire) for field in range(1, 17) for wire in (0, 1, 2)}


def unsigned(field: int, value: int) -> bytes:
    """A field that holds an unsigned integer or an enum."""
    return _TAGS[field, 0] + (_SMALL[value] if 0 <= value < 4096 else varint(value))


def signed(field: int, value: int) -> bytes:
    """A field that holds a zigzag integer (sint32, sint64)."""
    return unsigned(field, value << 1 if value >= 0 else (-value << 1) - 1)


def double(field: int, value: float) -> bytes:
    """A field that holds a double."""
    return _TAGS[field, 1] + _DOUBLE(value)


def nested(field: int, data: bytes) -> bytes:
    """A field that holds bytes, a string or a message."""
    size = len(data)
    return _TAGS[field, 2] + (_SMALL[size] if size < 4096 else varint(size)) + data


def timestamp(field: int, unix_s: float) -> bytes:
    """A field that holds a `google.protobuf.Timestamp`; nothing for a time that is unknown."""
    if not (unix_s > 0 and isfinite(unix_s)):
        return b""
    seconds, fraction = divmod(unix_s, 1)
    nanos = min(round(fraction * 1e9), 999_999_999)
    return nested(field, unsigned(1, int(seconds)) + unsigned(2, nanos))


def encode_pairs(labels: Labels) -> bytes:
    """The labels of a `Metric`, and of an `Exemplar`."""
    return b"".join(
        [nested(1, nested(1, to_utf8(name)) + nested(2, to_utf8(value))) for name, value in labels]
    )


def encode(families: Iterable[Family], others: Iterable[OtherFamily], naming: Spelling) -> Iterator[bytes]:
    """Encode *families*, then *others*; the chunks are meant to be joined or streamed, some are empty.

    A family's length comes first, so the whole family is encoded before its first chunk; empty chunks in
    between let an event loop run other tasks.
    """
    for family in families:
        yield from encode_labels(family, naming, encode_pairs)
        metrics: list[bytes] = []
        for part in parts(family, naming, encode_pairs):
            for metric in _metrics(family, part, naming):
                metrics.append(nested(4, metric))
                if len(metrics) % _SERIES_A_CHUNK == 0:
                    yield b""
        yield from _delimited(family, metrics)
    for other in map(readable, others):
        yield from _delimited(other, [nested(4, metric) for metric in _other_metrics(other, naming)])


def _delimited(family: Family | OtherFamily, metrics: Sequence[bytes]) -> Iterator[bytes]:
    if not metrics:
        return
    head = nested(1, to_utf8(family.name))
    if family.help:
        head += nested(2, to_utf8(family.help))
    head += unsigned(3, _TYPES.get(family.type, _GAUGE))
    unit = nested(5, to_utf8(family.unit)) if family.unit else b""
    size = len(head) + sum(map(len, metrics)) + len(unit)
    yield varint(size) + head
    for start in range(0, len(metrics), _SERIES_A_JOIN):
        yield b"".join(metrics[start : start + _SERIES_A_JOIN])
    yield unit


def _metrics(family: Family, part: Part[bytes], naming: Spelling) -> Iterator[bytes]:
    """The body of one `Metric` a series."""
    rows = zip(part.labels, part.values, part.created_s, strict=True)
    if part.kind is Kind.HISTOGRAM:
        bounds = [double(2, bound) for bound in (*part.bounds, _INFINITY)]
        for at, (labels, row, created_s) in enumerate(rows):
            body = _classic(bounds, row, part.exemplars.get(at, ()), naming)
            yield labels + nested(7, body + timestamp(15, created_s))
    elif part.kind is Kind.EXPONENTIAL:
        for at, (labels, value, created_s) in enumerate(rows):
            native = _native(family.name, value, part.exemplars.get(at, ()), naming)
            if native:
                yield labels + nested(7, native + timestamp(15, created_s))
    elif part.kind is Kind.COUNTER:
        for at, (labels, value, created_s) in enumerate(rows):
            exemplars = part.exemplars.get(at, ())
            exemplar = nested(2, _exemplar(exemplar_to_show(exemplars), naming)) if exemplars else b""
            yield labels + nested(3, double(1, value) + exemplar + timestamp(3, created_s))
    else:
        for labels, value, _ in rows:
            yield labels + nested(2, double(1, value))


def _classic(
    bounds: Sequence[bytes], row: Sequence[float], exemplars: Iterable[Exemplar], naming: Spelling
) -> bytes:
    """The body of a `Histogram` with buckets."""
    *buckets, total = row
    counts = list(accumulate(buckets))
    shown = latest_by_bucket(exemplars)
    out = [_count(1, 4, counts[-1]), double(2, total)]
    for at, (bound, count) in enumerate(zip(bounds, counts, strict=True)):
        body = _count(1, 4, count) + bound
        if at in shown:
            body += nested(3, _exemplar(shown[at], naming))
        out.append(nested(3, body))
    return b"".join(out)


def _count(field: int, float_field: int, count: float) -> bytes:
    """A count, as an integer where it is one."""
    if 0 <= count < 1e18 and count % 1 == 0:
        return unsigned(field, int(count))
    return double(float_field, count)


def _native(name: str, value: ExponentialValue, exemplars: Iterable[Exemplar], naming: Spelling) -> bytes:
    """The body of a `Histogram` with spans and deltas."""
    native = to_native(value)
    if native is None:
        warn_once(f"{name!r} has series that are not exposed: their scale {value.scale} is below -4")
        return b""
    out = [
        unsigned(1, native.total),
        double(2, native.sum),
        signed(5, native.schema),
        double(6, ZERO_THRESHOLD),
        unsigned(7, native.zero_count),
        _side(9, 10, native.negative),
        _side(12, 13, native.positive),
    ]
    timed = (exemplar for exemplar in exemplars if isfinite(exemplar.unix_s))
    out.extend(nested(16, _exemplar(exemplar, naming)) for exemplar in timed)
    return b"".join(out)


def _side(span_field: int, delta_field: int, side: Side) -> bytes:
    spans = [nested(span_field, signed(1, offset) + unsigned(2, length)) for offset, length in side.spans]
    return b"".join([*spans, *(signed(delta_field, delta) for delta in side.deltas)])


def _exemplar(exemplar: Exemplar, naming: Spelling) -> bytes:
    labels = encode_pairs(exemplar_labels(exemplar, naming))
    return labels + double(2, exemplar.value) + timestamp(3, exemplar.unix_s)


def _other_metrics(family: OtherFamily, naming: Spelling) -> Iterator[bytes]:
    """The body of one `Metric` a series: samples that have the same labels, but for `le` and `quantile`."""
    own = {"summary": "quantile", "histogram": "le", "gaugehistogram": "le"}.get(family.type, "")
    series: dict[tuple[Labels, float | None], list[OtherSample]] = {}
    for sample in family.samples:
        labels = tuple(label for label in sample.labels if label[0] != own)
        series.setdefault((labels, sample.unix_s), []).append(sample)
    for (labels, unix_s), samples in series.items():
        when = b"" if unix_s is None else unsigned(6, int(unix_s * 1000))
        yield encode_pairs(labels) + _other_value(family.type, samples, naming) + when


def _other_value(family_type: FamilyType, samples: Sequence[OtherSample], naming: Spelling) -> bytes:
    values = {sample.suffix: sample.value for sample in samples}
    created_s = values.get("_created", 0.0)
    if family_type == "counter":
        (total,) = [sample for sample in samples if sample.suffix == "_total"] or [samples[0]]
        exemplar = nested(2, _exemplar(total.exemplar, naming)) if total.exemplar else b""
        return nested(3, double(1, total.value) + exemplar + timestamp(3, created_s))
    if family_type == "summary":
        quantiles = [
            nested(3, double(1, _own_label(one, "quantile")) + double(2, one.value))
            for one in samples
            if not one.suffix
        ]
        head = unsigned(1, int(values.get("_count", 0))) + double(2, values.get("_sum", 0.0))
        return nested(4, head + b"".join(quantiles) + timestamp(4, created_s))
    if family_type in ("histogram", "gaugehistogram"):
        return nested(7, _other_histogram(samples, values, naming) + timestamp(15, created_s))
    if family_type == "unknown":
        return nested(5, double(1, samples[0].value))
    return nested(2, double(1, samples[0].value))


def _other_histogram(samples: Sequence[OtherSample], values: dict[str, float], naming: Spelling) -> bytes:
    buckets = sorted((_own_label(sample, "le"), sample) for sample in samples if sample.suffix == "_bucket")
    count = values.get("_count", values.get("_gcount", buckets[-1][1].value if buckets else 0.0))
    out = [_count(1, 4, count), double(2, values.get("_sum", values.get("_gsum", 0.0)))]
    for bound, sample in buckets:
        body = _count(1, 4, sample.value) + double(2, bound)
        if sample.exemplar:
            body += nested(3, _exemplar(sample.exemplar, naming))
        out.append(nested(3, body))
    return b"".join(out)


def _own_label(sample: OtherSample, name: str) -> float:
    """The number in the label that the format itself adds."""
    try:
        return float(dict(sample.labels)[name])
    except (KeyError, ValueError):
        return float("nan")


WIRE = WireFormat(
    "protobuf",
    "application/vnd.google.protobuf",
    encode,
    parameters={"proto": "io.prometheus.client.MetricFamily", "encoding": "delimited"},
)
