"""A reader's view of an index: the live series of a source, and the offsets of their cells."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from math import isfinite

from otel_obs.cells.attributes import Attributes
from otel_obs.cells.exemplar import SLOT_CELLS, unpack
from otel_obs.cells.exponential import is_sound, is_whole
from otel_obs.cells.layout import (
    CELL_BYTES,
    RETIRED_WORKER,
    Damage,
    EndedRecord,
    ExemplarsRecord,
    FileRecord,
    Header,
    RemovedRecord,
    SeriesRecord,
    StreamRecord,
    end_of_record,
    read_record,
    record_bytes,
)
from otel_obs.cells.removals import Removal, can_end
from otel_obs.cells.snapshot import Exemplar
from otel_obs.cells.stream import Stream
from otel_obs.cells.validity import MAX_RECORD_BYTES, InvalidError, decode_checked, demand
from otel_obs.host.pace import AT_ONCE, breathe, pieces

_STEP_BYTES = 256 * 1024
"""Bytes of an index that are read at a time, so that a damaged index costs little to reject."""

_FUTURE_S = 60.0
"""An end that lies further in the future is damage."""

_COPIES = 100
"""Attempts to copy an exponential histogram whose scale changes, which takes microseconds. The limit is for
damaged cells, which never come out whole."""


class Series:
    """The live series of one stream in one source: canonical attributes to offset and start."""

    __slots__ = ("created_s", "ended", "exemplars", "offsets", "version")

    def __init__(self) -> None:
        self.offsets: dict[bytes, int] = {}
        self.created_s: dict[bytes, float] = {}
        self.exemplars: dict[bytes, int] = {}
        self.version = 0
        self.ended: frozenset[bytes] = frozenset()
        """The series that are left out because they ended in the whole service."""

    def without(self, ended: frozenset[bytes]) -> Series:
        """These series without *ended*."""
        left = Series()
        left.offsets = {key: offset for key, offset in self.offsets.items() if key not in ended}
        left.created_s = {key: self.created_s[key] for key in left.offsets}
        left.exemplars = self.exemplars
        left.version, left.ended = self.version, ended
        return left


class Source(ABC):
    """An index, read up to its committed length, and the cells of its series."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.worker = header.worker
        self.is_retired = header.worker == RETIRED_WORKER
        self.is_dead = False
        self.cells: array[float] = array("d")
        """Replaced by each refresh, never changed: a snapshot may keep the former array."""
        self.streams: dict[Stream, Series] = {}
        self.limits: dict[Stream, int] = {}
        """How many series each stream may have in the whole service."""
        self.folded: dict[bytes, float] = {}
        self.ends: list[Removal] = []
        """The ends read so far; `ServiceReader` clears the list when it has taken them over."""
        self.damage = Damage()
        """Why the index was not read to its end."""
        self.flaw = ""
        """Why single records were left out; the others were read."""
        self._numbered: list[Stream] = []
        # Two dictionaries instead of one of tuples: the garbage collector would visit every tuple.
        self._stream_at: dict[int, int] = {}
        self._key_at: dict[int, bytes] = {}
        self._read_to = 0
        self._used = 0

    @property
    def complaint(self) -> str:
        """What is wrong with the source; empty if nothing is."""
        return self.damage.reason or self.flaw

    @property
    def index_bytes(self) -> int:
        """The bytes of the index that were read."""
        return self._read_to

    def _take(self, committed: int, decoded: dict[bytes, Attributes] | None) -> None:
        """Apply the records up to byte *committed* that are new since the last time.

        Args:
            committed: Where the index ends.
            decoded: Attributes, by their encoding, that were checked, of this source or others. Missing ones
                are checked and added. None checks nothing.
        """
        window = _STEP_BYTES
        while self._read_to < committed and not self.damage.reason:
            left = committed - self._read_to
            asked = min(window, left)
            index = self._read_index(self._read_to, asked)
            # A record that is longer than the window is read again with a window of its length.
            end, wanted = self._apply(index, decoded)
            if not end and (wanted > left or len(index) < asked):
                self._end_early("the index is cut")
            self._read_to += end
            window = max(wanted, _STEP_BYTES)

    def _end_early(self, reason: str) -> None:
        self.damage.reason = self.damage.reason or reason

    def _apply(self, index: bytes, decoded: dict[bytes, Attributes] | None) -> tuple[int, int]:
        """Apply the whole records at the beginning of *index*.

        Returns:
            Where they end, and how many bytes the next, incomplete record needs.
        """
        at, number, fresh = 0, 0, []
        while (length := record_bytes(index, at)) is not None:
            end = end_of_record(at, length)
            # Incomplete: read again with more bytes. A longer one is damage, which `read_record` reports.
            if end > len(index) and length <= MAX_RECORD_BYTES:
                break
            record = read_record(index, at, length, self.damage)
            if record is None:
                break
            self._apply_one(record)
            if isinstance(record, SeriesRecord):
                fresh.append(record.offset)
            at, number = end, number + 1
            if number % AT_ONCE == 0:
                breathe()
        if decoded is not None:
            self._check(fresh, decoded)
        return at, end_of_record(0, length if length is not None else 0)

    def _apply_one(self, record: FileRecord) -> None:
        if isinstance(record, SeriesRecord):
            self._add(record)
        elif isinstance(record, StreamRecord):
            self._numbered.append(record.stream)
            self.streams.setdefault(record.stream, Series())
            self.limits[record.stream] = record.limit
        elif isinstance(record, RemovedRecord):
            self._remove(record.offset)
        elif isinstance(record, ExemplarsRecord):
            self._add_exemplars(record)
        elif isinstance(record, EndedRecord):
            self._end(record)
        # A record of the retired store itself would have readers leave the whole store out.
        elif record.worker != RETIRED_WORKER:
            self.folded[record.worker] = record.at_s

    def _check(self, fresh: list[int], decoded: dict[bytes, Attributes]) -> None:
        """Remove the series at *fresh* whose attributes are invalid."""
        for piece in pieces(len(fresh)):
            for offset in fresh[piece]:
                key = self._key_at.get(offset)
                if key is not None and key not in decoded:
                    try:
                        decoded[key] = decode_checked(key)
                    except InvalidError as error:
                        self.flaw = str(error)
                        self._remove(offset)

    @abstractmethod
    def _read_index(self, start: int, length: int) -> bytes:
        """Up to *length* bytes of the index, from byte *start* on."""

    @property
    def _cells_there(self) -> int:
        """The number of cells that the file has room for."""
        return self.header.cells_bytes // CELL_BYTES

    def _add(self, record: SeriesRecord) -> None:
        if record.stream >= len(self._numbered):
            self.flaw = "a series belongs to no stream"
            return
        stream = self._numbered[record.stream]
        end = record.offset + max(stream.cells, self.is_retired * (stream.rest_at + 1))
        # A damaged offset must not lead a reader outside of the cells.
        if end > self._cells_there:
            self.flaw = "a series lies behind the end"
            return
        series = self.streams[stream]
        series.offsets[record.attributes] = record.offset
        series.created_s[record.attributes] = record.created_s
        series.version += 1
        self._stream_at[record.offset] = record.stream
        self._key_at[record.offset] = record.attributes
        self._used = max(self._used, end)

    def series(self) -> Iterator[tuple[Stream, bytes, int, float]]:
        """Of every live series its stream, attributes, offset and start."""
        for stream, series in self.streams.items():
            for attributes, offset in series.offsets.items():
                yield stream, attributes, offset, series.created_s[attributes]

    def _end(self, record: EndedRecord) -> None:
        stream = self._numbered[record.stream] if record.stream < len(self._numbered) else None
        if stream is None or not can_end(stream):
            self.flaw = "an end belongs to no gauge"
        elif record.at_s > time.monotonic() + _FUTURE_S:
            self.flaw = "a series ended in the future"
        else:
            self.ends.append(Removal(stream, record.attributes, record.at_s))

    def _add_exemplars(self, record: ExemplarsRecord) -> None:
        attributes = self._key_at.get(record.offset)
        if attributes is not None:
            stream = self._numbered[self._stream_at[record.offset]]
            if record.at + stream.exemplar_slots * SLOT_CELLS <= self._cells_there:
                self.streams[stream].exemplars[attributes] = record.at

    def exemplars(self, stream: Stream, attributes: bytes) -> list[Exemplar]:
        """The exemplars of a series, at most one for each bucket."""
        at = self.streams[stream].exemplars.get(attributes)
        if at is None:
            return []
        slots = self._read_bytes(at, stream.exemplar_slots * SLOT_CELLS)
        size = SLOT_CELLS * CELL_BYTES
        found = []
        for slot in range(stream.exemplar_slots):
            with suppress(ValueError):  # not UTF-8
                found.append(unpack(slots[slot * size : (slot + 1) * size], slot))
        return [each for each in found if each is not None and isfinite(each.unix_s)]

    @abstractmethod
    def _read_bytes(self, at: int, cells: int) -> bytes:
        """The bytes of *cells* cells from the one at *at*."""

    def whole(self, stream: Stream, at: int) -> Sequence[float]:
        """The cells of an exponential histogram, copied again where a change of scale was under way.

        Raises:
            InvalidError: No worker can have written them.
        """
        max_size = int(stream.bounds[0])
        cells: Sequence[float] = self.cells[at : at + stream.cells].tolist()
        for _ in range(_COPIES):
            if len(cells) < stream.cells:
                break
            if is_whole(cells, max_size) and is_sound(cells, max_size):
                return cells
            cells = memoryview(self._read_bytes(at, stream.cells)).cast("d").tolist()
        demand(is_sound(cells, max_size), "an exponential histogram holds what none can")
        return cells

    def _remove(self, offset: int) -> None:
        attributes = self._key_at.pop(offset, None)
        if attributes is None:
            return
        series = self.streams[self._numbered[self._stream_at.pop(offset)]]
        # The same attributes may have a newer series at another offset, which stays.
        if series.offsets.get(attributes) == offset:
            del series.offsets[attributes], series.created_s[attributes]
            series.exemplars.pop(attributes, None)
            series.version += 1
