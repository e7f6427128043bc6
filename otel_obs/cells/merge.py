"""Merging every source's cells into one snapshot."""

from __future__ import annotations

import operator
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from math import inf
from typing import Any

from otel_obs.cells.attributes import Attributes, decode_attributes
from otel_obs.cells.exemplar import latest
from otel_obs.cells.exponential import ExponentialValue, combine, decode
from otel_obs.cells.gauge_rules import TimedValue, choice_of
from otel_obs.cells.layout import Kind, Stream
from otel_obs.cells.retire import LASTING
from otel_obs.cells.snapshot import Column, Exemplar, Rows, SeriesTable
from otel_obs.cells.source import Series, Source
from otel_obs.cells.summation import add_rows
from otel_obs.host.pace import pieces

_ABSENT = -1
SnapshotParts = list[tuple[Source, list[int]]]
"""Each source with the offsets of the series' cells in it; `_ABSENT` for a series that it lacks."""


class MergedStream:
    """One stream over all sources: its table, and where in each source the cells of each series are.

    Rebuilt only when a series or a source came or went, and then the table is kept if its series are
    the same, so that what encoders derived from it stays good.
    """

    __slots__ = ("_keys", "_signature", "parts", "stream", "table")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.table = SeriesTable(stream, [], [])
        self.parts: SnapshotParts = []
        self._keys: list[bytes] = []
        self._signature: list[tuple[bytes, bool, int, frozenset[bytes]]] = []

    def column(self, sources: list[tuple[Source, Series]], decoded: dict[bytes, Attributes]) -> Column:
        """The merged values of all *sources* as they are now.

        Args:
            sources: Each with what it has of the stream; at least one.
            decoded: Decoded attributes by their encoding; added to here.

        Raises:
            InvalidError: A source holds cells that no worker can have written.
        """
        self._update(sources, decoded)
        values = _histograms if self.stream.kind is Kind.HISTOGRAM else _values
        times = None
        if self.stream.kind is Kind.GAUGE:
            times = partial(_times, [(source.cells, offsets) for source, offsets in self.parts])
        return Column(self.table, values(self.stream, self.parts), self._exemplars(), times)

    def _update(self, sources: list[tuple[Source, Series]], decoded: dict[bytes, Attributes]) -> None:
        """Find the series of all *sources*."""
        # A version changes with every series that comes or goes in a source.
        signature = [
            (source.worker, source.is_dead, series.version, series.ended) for source, series in sources
        ]
        if signature == self._signature and all(map(operator.is_, self._part_sources(), _first(sources))):
            return
        keys = _keys(sources)
        starts = _starts(keys, sources)
        if keys != self._keys or starts != self.table.created_s:
            self._replace_table(keys, starts, decoded)
        self.parts = [(source, _offsets(keys, series)) for source, series in sources]
        self._signature = signature

    def _replace_table(
        self, keys: list[bytes], starts: list[float], decoded: dict[bytes, Attributes]
    ) -> None:
        kept: list[int] = []
        attributes: list[Attributes] = []
        places: dict[bytes, int] = {}
        count = len(self._keys)
        # Where series only came, those before keep their positions.
        if keys[:count] == self._keys:
            kept += range(count)
            attributes += self.table.attributes
        else:
            for piece in pieces(count):
                places.update(zip(self._keys[piece], range(piece.start, piece.stop), strict=False))
        fresh = keys[len(kept) :]
        for piece in pieces(len(fresh)):
            kept += map(places.get, fresh[piece], repeat(_ABSENT))
            attributes += [decoded_from(key, decoded) for key in fresh[piece]]
        self._keys = keys
        self.table = SeriesTable(self.stream, attributes, starts, self.table, kept)

    def _part_sources(self) -> Iterable[Source]:
        return [source for source, _ in self.parts]

    def _exemplars(self) -> dict[int, list[Exemplar]]:
        """The latest exemplar of each bucket, by the position of the series."""
        found: dict[int, list[Exemplar]] = {}
        for source, _ in self.parts:
            if source.streams[self.stream].exemplars:
                for piece in pieces(len(self._keys)):
                    for position, key in enumerate(self._keys[piece], piece.start):
                        exemplars = source.exemplars(self.stream, key)
                        if exemplars:
                            found[position] = latest([*found.get(position, ()), *exemplars])
        return found


def _first(sources: list[tuple[Source, Series]]) -> list[Source]:
    return [source for source, _ in sources]


def decoded_from(key: bytes, decoded: dict[bytes, Attributes]) -> Attributes:
    """The attributes that *key* encodes, looked up in *decoded* or put there."""
    attributes = decoded.get(key)
    if attributes is None:
        attributes = decoded[key] = decode_attributes(key)
    return attributes


def _keys(sources: list[tuple[Source, Series]]) -> list[bytes]:
    """The keys of all series, each once, in the order in which the sources have them."""
    keys = list(sources[0][1].offsets)
    known = set(keys) if len(sources) > 1 else set()
    for _, series in sources[1:]:
        own = list(series.offsets)
        for piece in pieces(len(own)):
            fresh = [key for key in own[piece] if key not in known]
            known.update(fresh)
            keys += fresh
    return keys


def _starts(keys: list[bytes], sources: list[tuple[Source, Series]]) -> list[float]:
    """The start of each series: the earliest of all sources."""
    starts: list[float] = []
    first, *others = [series.created_s for _, series in sources]
    for piece in pieces(len(keys)):
        some = [first.get(key, inf) for key in keys[piece]]
        for created_s in others:
            some = [min(start, created_s.get(key, inf)) for start, key in zip(some, keys[piece], strict=True)]
        starts += some
    return starts


def _offsets(keys: list[bytes], series: Series) -> list[int]:
    """Where in a source the cells of each series are."""
    offsets: list[int] = []
    for piece in pieces(len(keys)):
        offsets += map(series.offsets.get, keys[piece], repeat(_ABSENT))
    return offsets


def _values(stream: Stream, parts: SnapshotParts) -> list[Any]:
    """One value a series."""
    merge = _MERGE[stream.kind]
    values: list[Any] = []
    for piece in pieces(len(parts[0][1])):
        values += merge(stream, [(source, offsets[piece]) for source, offsets in parts])
    return values


def _histograms(stream: Stream, parts: SnapshotParts) -> Rows:
    """One row a series: its buckets, and its sum."""
    (source, starts), *others = parts
    # The buckets, +Inf and the sum; the minimum and maximum behind them are not merged.
    width = len(stream.bounds) + 2
    # One live source: its array is never changed, so rows are cut from it when they are written.
    if not others and not source.is_retired:
        return Rows(source.cells, starts, width)
    cells = array("d")
    for piece in pieces(len(starts)):
        cells.fromlist(_merge_histograms(stream, [(source, offsets[piece]) for source, offsets in parts]))
    return Rows(cells, range(0, len(starts) * width, width), width)


def _numbers(source: Source, offsets: list[int], shift: int = 0) -> list[float]:
    cells = source.cells
    return [cells[offset + shift] if offset >= 0 else 0.0 for offset in offsets]


def _merge_sums(stream: Stream, parts: SnapshotParts) -> list[float]:
    rows = []
    for source, offsets in parts:
        rows.append(_numbers(source, offsets, stream.sum_at))
        # A retired sum is in two cells: the rounded sum and the rest.
        if source.is_retired:
            rows.append(_numbers(source, offsets, stream.rest_at))
    return add_rows(rows)


# CPython specialises float additions in a comprehension; `map` would make a call of each.
_SUMS: dict[int, Callable[..., list[float]]] = {
    2: lambda a, b: [w + x for w, x in zip(a, b, strict=True)],
    3: lambda a, b, c: [w + x + y for w, x, y in zip(a, b, c, strict=True)],
    4: lambda a, b, c, d: [w + x + y + z for w, x, y, z in zip(a, b, c, d, strict=True)],
}


def _add(rows: list[list[float]]) -> list[float]:
    """Add up *rows*, place by place; up to four rows at once, which is faster than one by one."""
    while len(rows) > 1:
        rows = [_SUMS[min(len(rows), 4)](*rows[:4]), *rows[4:]]
    return rows[0]


def _merge_histograms(stream: Stream, parts: SnapshotParts) -> list[float]:
    """Row after row: one addition over all rows of a source is several times faster than one for each row."""
    width = len(stream.bounds) + 2
    total = _add([_row_after_row(source, offsets, width) for source, offsets in parts])
    # Counts are whole numbers and add up exactly; rounded sums are replaced.
    total[stream.sum_at :: width] = _merge_sums(stream, parts)
    return total


def _row_after_row(source: Source, offsets: list[int], width: int) -> list[float]:
    cells, empty = source.cells, array("d", [0.0] * width)
    rows = array("d")
    for at in offsets:
        rows += cells[at : at + width] if at >= 0 else empty
    return rows.tolist()


def _merge_exponentials(stream: Stream, parts: SnapshotParts) -> list[ExponentialValue]:
    max_size = int(stream.bounds[0])
    merged: list[ExponentialValue | None] = [None] * len(parts[0][1])
    for source, offsets in parts:
        for position, at in enumerate(offsets):
            if at >= 0:
                value = decode(source.whole(stream, at), max_size)
                known = merged[position]
                merged[position] = value if known is None else combine(known, value, max_size)
    # Added up exactly, where `combine` rounds at each step.
    sums = _merge_sums(stream, parts)
    return [value._replace(sum=total) for value, total in zip(merged, sums, strict=True) if value is not None]


def _merge_gauges(stream: Stream, parts: SnapshotParts) -> list[float]:
    if len(parts) == 1:
        return _numbers(*parts[0])
    choose = choice_of(stream.merge)
    rows = zip(*(_readings(source, offsets) for source, offsets in parts), strict=True)
    return [choose([reading for reading in row if reading is not None]) for row in rows]


def _times(parts: Sequence[tuple[Sequence[float], list[int]]]) -> list[float]:
    """When each gauge was set last, in any source."""
    rows = [[cells[at + 1] if at >= 0 else -inf for at in offsets] for cells, offsets in parts]
    return list(map(max, *rows)) if len(rows) > 1 else rows[0]


def _readings(source: Source, offsets: list[int]) -> list[TimedValue | None]:
    """The time and value of each gauge in one source."""
    cells = source.cells
    return [(cells[at + 1], cells[at]) if at >= 0 else None for at in offsets]


_MERGE: dict[Kind, Callable[[Stream, SnapshotParts], list[Any]]] = {
    Kind.COUNTER: _merge_sums,
    Kind.UPDOWN: _merge_sums,
    Kind.GAUGE: _merge_gauges,
    Kind.EXPONENTIAL: _merge_exponentials,
}


def is_counted(stream: Stream, source: Source) -> bool:
    """Whether this source's part of *stream* counts: a dead worker's gauges and updowncounters do not."""
    return not source.is_dead or stream.kind in LASTING
