"""Values that hold all numbers of a series in one line, as OpenMetrics 2.0 writes histograms and summaries.

Source: OpenMetrics 2.0.0-rc0, CompositeValues.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from math import isfinite

from otel_obs.exposition.from_client import OtherFamily, OtherSample
from otel_obs.exposition.lexical import number
from otel_obs.exposition.names import Labels
from otel_obs.exposition.native import ZERO_THRESHOLD, NativeHistogram, Side

_INFINITY = float("inf")
_EXACT = 2.0**53
"""Up to here, a float that is whole is written as an integer."""

_OWN_LABELS = {"histogram": "le", "gaugehistogram": "le", "summary": "quantile"}
_POINT_SUFFIXES = ("", "_bucket")


def histogram_value(bounds: tuple[float, ...], row: Sequence[float], native: bytes = b"") -> bytes | None:
    """The value of a histogram; None where its buckets hold no counts: a damaged cell may hold anything.

    Args:
        bounds: Upper bounds without +Inf; shape (n,).
        row: Bucket counts, not cumulative, then the sum; shape (n + 2,).
        native: The native buckets of the same measurements, where there are any.
    """
    counts = list(accumulate(row[:-1]))
    count = counts[-1]
    if not isfinite(count) or min(row[:-1]) < 0:
        return None
    whole, any_number = _bucket_templates(bounds)
    if count < _EXACT and not [one for one in counts if one % 1]:
        return b"{count:%d,sum:%b,%b" % (count, number(row[-1]).encode(), native) + whole % (*counts,)
    buckets = any_number % (*[number(one).encode() for one in counts],)
    return b"{count:%b,sum:%b,%b" % (number(count).encode(), number(row[-1]).encode(), native) + buckets


def native_fields(native: NativeHistogram) -> bytes:
    """The fields of native buckets, with a comma behind each."""
    fields = [
        f"schema:{native.schema},zero_threshold:{number(ZERO_THRESHOLD)},zero_count:{int(native.zero_count)},",
        _side("negative", native.negative),
        _side("positive", native.positive),
    ]
    return "".join(fields).encode()


def series_of(family: OtherFamily) -> dict[Labels, list[OtherSample]]:
    """The samples of each series of *family*, by the labels without `le` and `quantile`."""
    own = _OWN_LABELS.get(family.type)
    series: dict[Labels, list[OtherSample]] = {}
    for sample in family.samples:
        labels = tuple(label for label in sample.labels if label[0] != own) if own else sample.labels
        series.setdefault(labels, []).append(sample)
    return series


def is_composite(family: OtherFamily) -> bool:
    """Whether its type has a value of many numbers."""
    return family.type in _OWN_LABELS


def has_count_and_sum(family: OtherFamily, samples: Iterable[OtherSample]) -> bool:
    """Whether a series has the count and the sum that such a value must have."""
    return {f"_{field}" for field in _head(family)} <= {sample.suffix for sample in samples}


def other_value(family: OtherFamily, samples: Sequence[OtherSample]) -> bytes:
    """The value of one whole series of a histogram or summary of prometheus_client."""
    values = {sample.suffix: sample.value for sample in samples}
    count, total = _head(family)
    points: dict[float, float] = {}
    for sample in samples:
        if sample.suffix in _POINT_SUFFIXES:
            points.setdefault(float(dict(sample.labels)[_OWN_LABELS[family.type]]), sample.value)
    is_summary = family.type == "summary"
    spell = number if is_summary else _count
    listed = ",".join(f"{number(at)}:{spell(points[at])}" for at in sorted(points))
    return (
        f"{{{count}:{_count(values[f'_{count}'])},{total}:{number(values[f'_{total}'])},"
        f"{'quantile' if is_summary else 'bucket'}:[{listed}]}}"
    ).encode()


def _head(family: OtherFamily) -> tuple[str, str]:
    return ("gcount", "gsum") if family.type == "gaugehistogram" else ("count", "sum")


def _count(value: float) -> str:
    return f"{value:.0f}" if value % 1 == 0 and abs(value) < _EXACT else number(value)


def _side(sign: str, side: Side) -> str:
    if not side.spans:
        return ""
    spans = ",".join([f"{offset}:{length}" for offset, length in side.spans])
    counts = ",".join(map(str, accumulate(side.deltas)))
    return f"{sign}_spans:[{spans}],{sign}_buckets:[{counts}],"


@lru_cache(maxsize=1024)
def _bucket_templates(bounds: tuple[float, ...]) -> tuple[bytes, bytes]:
    """All buckets: with places for whole numbers, which are fastest, and for any numbers."""
    return tuple(
        f"bucket:[{','.join(f'{number(bound)}:{place}' for bound in (*bounds, _INFINITY))}]}}".encode()
        for place in ("%d", "%b")
    )  # type: ignore[return-value]
