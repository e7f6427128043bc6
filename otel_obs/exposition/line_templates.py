"""The lines that both text formats share.

A scrape of 120,000 lines is formatted here, so every histogram series costs one `%` on a template that
holds all its lines, and one `replace` that puts its label block into each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate

from otel_obs.exposition.lexical import (
    MILLION,
    escape_value,
    number,
    quoted_label,
    quoted_name,
    to_utf8,
)
from otel_obs.exposition.names import Labels

LINES_A_CHUNK = 2500
"""About one millisecond's work: between chunks, an event loop can run other tasks."""

_BLOCK = b"\0"  # where the label block goes; no name holds a NUL
_INFINITY = float("inf")


def label_block(labels: Labels) -> bytes:
    """The labels of a series as they stand between braces: `code="200",method="GET"`."""
    return to_utf8(",".join([f'{quoted_label(name)}="{escape_value(value)}"' for name, value in labels]))


def sample_start(name: str, block: bytes) -> bytes:
    """A sample's line up to its value: `http_requests_total{code="200"} `."""
    return _start(name, bool(block)).replace(_BLOCK, block)


def scalar_lines(name: str, labels: Sequence[bytes], values: Sequence[float]) -> Iterator[bytes]:
    """One line a series."""
    before, after = _start(name, True).split(_BLOCK)
    bare = _start(name, False)
    for block, value in zip(labels, values, strict=True):
        text = number(value).encode()
        yield b"%b%b%b%b\n" % (before, block, after, text) if block else b"%b%b\n" % (bare, text)


def histogram_lines(
    name: str, bounds: tuple[float, ...], labels: Sequence[bytes], values: Sequence[Sequence[float]]
) -> Iterator[bytes]:
    """All lines of a series at a time: its buckets, `_count`, `_sum`.

    Args:
        name: The name of the family.
        bounds: Upper bounds without +Inf; shape (n,).
        labels: A label block a series.
        values: A row a series: bucket counts, not cumulative, then the sum; shape (n + 2,).
    """
    labelled, bare = (_histogram_templates(name, bounds, has_labels) for has_labels in (True, False))
    for block, row in zip(labels, values, strict=True):
        whole, any_number = labelled if block else bare
        counts = list(accumulate(row))
        counts[-1] = count = counts[-2]
        total = number(row[-1]).encode()
        if count < MILLION and count % 1 == 0:
            lines = whole % (*counts, total)
        else:
            lines = any_number % (*[number(count).encode() for count in counts], total)
        yield lines.replace(_BLOCK, block)


@lru_cache(maxsize=1024)
def _histogram_templates(name: str, bounds: tuple[float, ...], has_labels: bool) -> tuple[bytes, bytes]:
    """All lines of a series: with places for whole numbers, which are fastest, and for any numbers."""
    starts = [_start(f"{name}_bucket", has_labels, f'le="{number(bound)}"') for bound in (*bounds, _INFINITY)]
    starts.append(_start(f"{name}_count", has_labels))
    total = _start(f"{name}_sum", has_labels)
    starts, total = [start.replace(b"%", b"%%") for start in starts], total.replace(b"%", b"%%") + b"%b\n"
    return (
        b"".join(start + b"%d.0\n" for start in starts) + total,
        b"".join(start + b"%b\n" for start in starts) + total,
    )


@lru_cache(maxsize=4096)
def _start(name: str, has_labels: bool, label: str = "") -> bytes:
    """A line up to its value, with a NUL for the label block; UTF-8 names stand in the braces too."""
    quoted = quoted_name(name)
    is_classic = quoted == name
    inside = ["" if is_classic else quoted, "\0" if has_labels else "", label]
    braces = ",".join(filter(None, inside))
    return to_utf8((name if is_classic else "") + (f"{{{braces}}} " if braces else " "))
