"""One process's cells and their index in mapped memory. `otel_obs.cells.mapped` creates stores."""

from __future__ import annotations

import mmap
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from otel_obs.cells.exemplar import SLOT_CELLS
from otel_obs.cells.layout import (
    CELL_BYTES,
    COMMIT_AT,
    HEADER_BYTES,
    MOVED,
    SERIES_LIMIT,
    EndedRecord,
    ExemplarsRecord,
    FileRecord,
    FoldedRecord,
    Header,
    RemovedRecord,
    SeriesRecord,
    Stream,
    StreamRecord,
    pack_commit,
    pack_header,
    pack_record,
)
from otel_obs.cells.removals import Removal, newest
from otel_obs.host.descriptors import Descriptor
from otel_obs.host.signals import raise_interruption

QUARANTINE_S = 60.0
"""How long removed cells rest before reuse: a thread may hold the offset and not have added to it yet."""

_STEP_BYTES = 64 << 10
_LONG = 0.25
_ENDS = 0.125
"""Fractions of an index: above `_LONG` it counts as long; ends of another store may take up to `_ENDS`."""

Reserve = Callable[[int, int], None]
"""Back `length` bytes at `start` with real storage; raises OSError where there is no room."""


class StoreFullError(Exception):
    """There is no room for another series in this store."""


class _Region:
    """A part of the mapping that is backed by storage step by step, always ahead of its use."""

    __slots__ = ("_ready", "_reserve", "_size", "_start")

    def __init__(self, start: int, size: int, reserve: Reserve) -> None:
        self._start, self._size, self._reserve, self._ready = start, size, reserve, 0

    def ensure(self, end: int) -> None:
        if end <= self._ready:
            return
        if end > self._size:
            # Without a cause: `retire` tells a region that is too small from a full file system by that.
            raise StoreFullError("the reservation is used up")
        ready = min(-(-end // _STEP_BYTES) * _STEP_BYTES, self._size)
        try:
            self._reserve(self._start + self._ready, ready - self._ready)
        except OSError as error:
            raise_interruption(error)
            raise StoreFullError(str(error)) from error
        self._ready = ready


class Store:
    """Append-only series over float64 cells. Not locked: `Worker` serialises every change of the index.

    Recording touches only `cells`: `cells[offset] += value` is a single aligned store. CPython switches
    threads and runs signal handlers only at calls and backward jumps, so that with the GIL none comes
    between the read and the store.

    Raises:
        StoreFullError: From the constructor and from methods that take room, where there is none.
    """

    def __init__(
        self,
        memory: mmap.mmap,
        header: Header,
        reserve: Reserve,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.header = header
        self.streams: dict[Stream, int] = {}
        self.limits: dict[Stream, int] = {}
        self._memory = memory
        self._clock = clock
        self._index = _Region(0, HEADER_BYTES + header.index_bytes, reserve)
        self._cells = _Region(header.cells_at, header.cells_bytes, reserve)
        self._index_end = 0
        self._streams_written = self._records = self._removals = 0
        self._next_cell = 0
        self._released: dict[int, deque[tuple[float, int]]] = {}
        self._exemplars: dict[int, int] = {}
        self._descriptors: list[Descriptor] = []
        self._index.ensure(HEADER_BYTES)
        self._cells.ensure(1)
        view = memoryview(memory)
        self._bytes = view[header.cells_at : header.cells_at + header.cells_bytes]
        self.cells = view[header.cells_at : header.cells_at + header.cells_bytes].cast("d")
        self._commit = view[COMMIT_AT : COMMIT_AT + 8].cast("Q")
        # The commit word first: a file with a valid header has a valid commit word.
        self._commit[0] = pack_commit(0)
        packed = pack_header(header)
        memory[: len(packed)] = packed

    @property
    def used_cells(self) -> int:
        """The number of cells up to the last one that was ever allocated."""
        return self._next_cell

    @property
    def index_bytes(self) -> int:
        """The committed length of the index."""
        return self._index_end

    def read_index(self, start: int, length: int) -> bytes:
        """Up to *length* bytes of the committed index, from byte *start* on."""
        return self._memory[HEADER_BYTES + start : HEADER_BYTES + min(start + length, self._index_end)]

    def read_bytes(self, at: int, cells: int) -> bytes:
        """The bytes of *cells* cells from the one at *at*."""
        return bytes(self._bytes[at * CELL_BYTES : (at + cells) * CELL_BYTES])

    def add_series(
        self,
        stream: Stream,
        attributes: bytes,
        created_s: float,
        initial: Sequence[float] = (),
        limit: int = SERIES_LIMIT,
    ) -> int:
        """Give a new series its cells, zeroed, and index it.

        Args:
            stream: The stream that the series belongs to; declared here if it is new.
            attributes: Canonical JSON of its attributes.
            created_s: Unix seconds.
            initial: Initial cells in place of those of the stream's kind. There may be more than the kind
                has: a retired series also holds the rounding rest of its sum.
            limit: How many series the stream may have in the whole service.

        Returns:
            The offset of its first cell.
        """
        number = self._number(stream, limit)
        offset = self._allocate(max(stream.cells, len(initial)))
        # Cells before the record: a reader that knows the series must find its initial cells.
        for position, value in enumerate(initial or stream.initial_cells):
            self.cells[offset + position] = value
        self._append(SeriesRecord(number, offset, created_s, attributes))
        return offset

    def _number(self, stream: Stream, limit: int = SERIES_LIMIT) -> int:
        """The number of *stream* in the index, where it is declared if it is new."""
        number = self.streams.get(stream)
        if number is None:
            number = self._streams_written
            self._append(StreamRecord(stream, limit))
            self.streams[stream] = number
            self.limits[stream] = limit
        return number

    def restart_series(self, stream: Stream, offset: int, attributes: bytes, created_s: float) -> None:
        """Reset the series at *offset* to its initial cells, with *created_s* (Unix seconds) as its start."""
        # Cells before the record, as in `add_series`.
        for position, value in enumerate(stream.initial_cells):
            self.cells[offset + position] = value
        self._append(SeriesRecord(self.streams[stream], offset, created_s, attributes))

    def add_exemplars(self, stream: Stream, offset: int) -> int:
        """Allocate exemplar slots for the series at *offset*.

        Returns:
            The cell at which the first slot begins.
        """
        cells = stream.exemplar_slots * SLOT_CELLS
        at = self._allocate(cells)
        # Reused cells may hold exemplars of another series; a slot of zeros is empty.
        for position in range(cells):
            self.cells[at + position] = 0.0
        self._append(ExemplarsRecord(offset, at))
        self._exemplars[offset] = at
        return at

    def write_exemplar(self, at: int, slot: int, packed: bytes) -> None:
        """Put an exemplar into a slot of the room that begins at cell *at*."""
        start = (at + slot * SLOT_CELLS) * CELL_BYTES
        self._bytes[start : start + len(packed)] = packed

    def remove_series(self, stream: Stream, offset: int) -> None:
        """Remove a series from the index. Its cells are reused after `QUARANTINE_S` at the earliest."""
        # The record first: cells that are reused must not belong to a series of the index.
        self._append(RemovedRecord(offset))
        self._release(offset, stream.cells)
        exemplars = self._exemplars.pop(offset, None)
        if exemplars is not None:
            self._release(exemplars, stream.exemplar_slots * SLOT_CELLS)

    def _release(self, offset: int, cells: int) -> None:
        self._released.setdefault(cells, deque()).append((self._clock() + QUARANTINE_S, offset))

    def note_ended(self, end: Removal) -> None:
        """Record that the series of *end* ended in every worker; what is set after `end.at_s` stays."""
        self._append(EndedRecord(self._number(end.stream), end.at_s, end.attributes))

    def note_newest(self, ends: Iterable[Removal]) -> None:
        """Copy the newest *ends* of another store. They take a bounded part of the index, and are no wear."""
        size, removals = self.header.index_bytes, self._removals
        room = min(self._index_end + size * _ENDS, size * (1 - _ENDS))
        for end in newest(ends):
            if self._index_end > room:
                break
            self.note_ended(end)
        self._removals = removals

    def note_folded(self, worker: bytes, at_s: float) -> None:
        """In a retired store: record that *worker*'s numbers are in here."""
        self._append(FoldedRecord(worker, at_s))

    def copy_to(self, other: Store, series: Iterable[tuple[Stream, bytes, int, float]]) -> dict[int, int]:
        """Copy *series* with their present values to *other*.

        Args:
            other: A store without series.
            series: Of each its stream, canonical attributes, offset, and start in Unix seconds.

        Returns:
            The offset in *other*, by the offset in this store.
        """
        moved = {}
        for stream, attributes, offset, created_s in series:
            cells = self.cells[offset : offset + stream.cells].tolist()
            limit = self.limits.get(stream, SERIES_LIMIT)
            moved[offset] = other.add_series(stream, attributes, created_s, cells, limit)
            at = self._exemplars.get(offset)
            if at is not None:
                slots = self.read_bytes(at, stream.exemplar_slots * SLOT_CELLS)
                other.write_exemplar(other.add_exemplars(stream, moved[offset]), 0, slots)
        return moved

    def exemplars_at(self, offset: int) -> int:
        """The first cell of the room for exemplars of the series at *offset*; -1 where it has none."""
        return self._exemplars.get(offset, -1)

    @property
    def is_worn(self) -> bool:
        """Whether the index is long and more than a quarter of its records are removals."""
        is_long = self._index_end > self.header.index_bytes * _LONG
        return is_long and 4 * self._removals > self._records

    def abandon(self) -> None:
        """Tell readers that have this file open that its worker has moved to another store."""
        self._commit[0] = MOVED

    def own(self, *descriptors: Descriptor) -> None:
        """Keep *descriptors* open as long as the store is in use."""
        self._descriptors.extend(descriptors)

    @property
    def is_in_use(self) -> bool:
        """Whether it has a file, which was not given up."""
        return bool(self._descriptors)

    def discard(self) -> None:
        """Close the store's descriptors. A child may: a lock ends with the last copy of its descriptor."""
        while self._descriptors:
            self._descriptors.pop().close()

    def _allocate(self, cells: int) -> int:
        released = self._released.get(cells)
        # The oldest release is first.
        if released and released[0][0] <= self._clock():
            return released.popleft()[1]
        offset = self._next_cell
        self._cells.ensure((offset + cells) * CELL_BYTES)
        self._next_cell = offset + cells
        return offset

    def _append(self, record: FileRecord) -> None:
        packed = pack_record(record)
        end = self._index_end + len(packed)
        at = HEADER_BYTES + self._index_end
        self._index.ensure(at + len(packed))
        word, streams = pack_commit(end), self._streams_written + isinstance(record, StreamRecord)
        self._memory[at : at + len(packed)] = packed
        # Commit after the whole record and before the caller's first add: a reader never sees half a record.
        # No call until the counters are set: a signal handler's exception must not part them from the commit.
        self._commit[0] = word
        self._index_end = end
        self._streams_written = streams
        self._records += 1
        self._removals += isinstance(record, (RemovedRecord, EndedRecord))
