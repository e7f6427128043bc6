"""Where merged numbers come from: this process's store, the other workers' files, the retired store."""

from __future__ import annotations

import os
import struct
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator, Sequence

from otel_obs.cells.ends import End
from otel_obs.cells.exemplar import SLOT_CELLS, unpack
from otel_obs.cells.exponential import is_whole
from otel_obs.cells.layout import (
    CELL_BYTES,
    COMMIT_AT,
    HEADER_BYTES,
    MOVED,
    RETIRED_WORKER,
    Damage,
    EndedRecord,
    ExemplarsRecord,
    FoldedRecord,
    Header,
    RemovedRecord,
    SeriesRecord,
    Stream,
    StreamRecord,
    read_records,
    unpack_commit,
    unpack_header,
)
from otel_obs.cells.snapshot import Exemplar
from otel_obs.cells.store import Store
from otel_obs.host.pace import AT_ONCE, breathe
from otel_obs.rundir.directory import RunDir, lock

_STEP_CELLS = 32 * 1024
"""So many cells are copied at a time: the copy holds the interpreter's lock."""

_COPIES = 100
"""A change of scale takes microseconds; a worker that died in the middle of one never completes it."""


class Series:
    """The live series of one stream in one source: canonical attributes to offset and start."""

    __slots__ = ("created_s", "ended", "exemplars", "offsets", "version")

    def __init__(self) -> None:
        self.offsets: dict[bytes, int] = {}
        self.created_s: dict[bytes, float] = {}
        self.exemplars: dict[bytes, int] = {}
        self.version = 0
        self.ended: frozenset[bytes] = frozenset()
        """Those that are left out, since the whole service has ended them."""

    def without(self, ended: frozenset[bytes]) -> Series:
        """The same series but for *ended*."""
        left = Series()
        left.offsets = {key: offset for key, offset in self.offsets.items() if key not in ended}
        left.created_s = {key: self.created_s[key] for key in left.offsets}
        left.exemplars = self.exemplars
        left.version, left.ended = self.version, ended
        return left


class Source(ABC):
    """An index, read as far as it is committed, and the cells that it tells of."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.worker = header.worker
        self.is_retired = header.worker == RETIRED_WORKER
        self.is_dead = False
        self.cells: array[float] = array("d")
        """A new one after each refresh: whoever has read the one before may keep it."""
        self.streams: dict[Stream, Series] = {}
        self.folded: dict[bytes, float] = {}
        self.ends: list[End] = []
        """Whoever looks after ends takes them out of here."""
        self.damage = Damage()
        self._numbered: list[Stream] = []
        # Two dictionaries, without a tuple a series: the garbage collector would go over every one.
        self._stream_at: dict[int, int] = {}
        self._key_at: dict[int, bytes] = {}
        self._read_to = 0
        self._used = 0

    def _take(self, index: bytes) -> None:
        """Apply the records that are new since the last time."""
        self._read_to += len(index)
        for number, record in enumerate(read_records(index, self.damage), 1):
            if number % AT_ONCE == 0:
                breathe()
            if isinstance(record, SeriesRecord):
                self._add(record)
            elif isinstance(record, StreamRecord):
                self._numbered.append(record.stream)
                self.streams.setdefault(record.stream, Series())
            elif isinstance(record, RemovedRecord):
                self._remove(record.offset)
            elif isinstance(record, ExemplarsRecord):
                self._add_exemplars(record)
            elif isinstance(record, EndedRecord):
                self._end(record)
            elif isinstance(record, FoldedRecord):
                self.folded[record.worker] = record.at_s

    def _add(self, record: SeriesRecord) -> None:
        if record.stream >= len(self._numbered):
            self.damage.reason = "a series belongs to no stream"
            return
        stream = self._numbered[record.stream]
        end = record.offset + max(stream.cells, self.is_retired * (stream.rest_at + 1))
        if end * CELL_BYTES > self.header.cells_bytes:
            self.damage.reason = "a series lies behind the end"
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
        if record.stream >= len(self._numbered):
            self.damage.reason = "an end belongs to no stream"
            return
        self.ends.append(End(self._numbered[record.stream], record.attributes, record.at_s))

    def _add_exemplars(self, record: ExemplarsRecord) -> None:
        attributes = self._key_at.get(record.offset)
        if attributes is not None:
            stream = self._numbered[self._stream_at[record.offset]]
            if (record.at + stream.exemplar_slots * SLOT_CELLS) * CELL_BYTES <= self.header.cells_bytes:
                self.streams[stream].exemplars[attributes] = record.at

    def exemplars(self, stream: Stream, attributes: bytes) -> list[Exemplar]:
        """The exemplars of a series, at most one for each bucket."""
        at = self.streams[stream].exemplars.get(attributes)
        if at is None:
            return []
        slots = self._read_bytes(at, stream.exemplar_slots * SLOT_CELLS)
        size = SLOT_CELLS * CELL_BYTES
        found = (
            unpack(slots[slot * size : (slot + 1) * size], slot) for slot in range(stream.exemplar_slots)
        )
        return [exemplar for exemplar in found if exemplar is not None]

    @abstractmethod
    def _read_bytes(self, at: int, cells: int) -> bytes:
        """The bytes of *cells* cells from the one at *at*."""

    def whole(self, stream: Stream, at: int) -> Sequence[float]:
        """The cells of an exponential histogram, copied again where a change of scale was under way."""
        max_size = int(stream.bounds[0])
        cells: Sequence[float] = self.cells[at : at + stream.cells].tolist()
        for _ in range(_COPIES):
            if is_whole(cells, max_size):
                break
            cells = memoryview(self._read_bytes(at, stream.cells)).cast("d").tolist()
        return cells

    def _remove(self, offset: int) -> None:
        attributes = self._key_at.pop(offset, None)
        if attributes is None:
            return
        series = self.streams[self._numbered[self._stream_at.pop(offset)]]
        if series.offsets.get(attributes) == offset:
            del series.offsets[attributes], series.created_s[attributes]
            series.exemplars.pop(attributes, None)
            series.version += 1


class OwnSource(Source):
    """This process's store, read where it lies."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.header)
        self.store = store

    def refresh(self) -> None:
        """Read what is new, and the cells as they are now."""
        self._take(self.store.read_index(self._read_to))
        cells, used = array("d"), self.store.used_cells
        for at in range(0, used, _STEP_CELLS):
            cells.frombytes(self.store.cells[at : min(at + _STEP_CELLS, used)].cast("B"))
        self.cells = cells

    def _read_bytes(self, at: int, cells: int) -> bytes:
        return self.store.read_bytes(at, cells)


class FileSource(Source):
    """Another process's file, read with `os.pread` only: to map what others may truncate is a SIGBUS."""

    def __init__(self, descriptor: int, header: Header) -> None:
        super().__init__(header)
        self.descriptor = descriptor
        self.is_abandoned = False
        """Whether the worker goes on in another file, which has taken this one's name."""

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)

    def refresh(self) -> None:
        """Read what is new, and the cells as they are now."""
        data = os.pread(self.descriptor, 8, COMMIT_AT)
        word = int.from_bytes(data, "little")
        self.is_abandoned = word == MOVED
        if self.is_abandoned:
            return
        committed = unpack_commit(word) if len(data) == 8 else None
        if committed is None or committed > self.header.index_bytes:
            self.damage.reason = self.damage.reason or "the index has no valid length"
        elif committed > self._read_to and not self.damage.reason:
            wanted = committed - self._read_to
            index = os.pread(self.descriptor, wanted, HEADER_BYTES + self._read_to)
            self._take(index)
            if len(index) != wanted:
                self.damage.reason = "the index is cut"
        self.cells = self._read_cells()

    def _read_bytes(self, at: int, cells: int) -> bytes:
        return os.pread(self.descriptor, cells * CELL_BYTES, self.header.cells_at + at * CELL_BYTES)

    def _read_cells(self) -> array[float]:
        cells = array("d")
        for at in range(0, self._used, _STEP_CELLS):
            wanted = min(_STEP_CELLS, self._used - at) * CELL_BYTES
            data = self._read_bytes(at, wanted // CELL_BYTES)
            if len(data) != wanted:
                self.damage.reason = "the cells are cut"
                data = data.ljust(wanted, b"\0")
            cells.frombytes(data)
        return cells

    def check_alive(self) -> None:
        """See whether the worker still holds its lock: a process id would prove nothing."""
        self.is_dead = lock(self.descriptor, exclusive=False)


def open_file(run_dir: RunDir, name: str) -> FileSource | None:
    """Open a worker's file or the retired store.

    Returns:
        None where its header is damaged or of another version.

    Raises:
        OSError: It cannot be opened; `FileNotFoundError` where it was folded in the meantime.
    """
    # Not blocking: what bears the name may be a pipe.
    descriptor = run_dir.open(name, os.O_RDONLY | os.O_NONBLOCK)
    try:
        header = unpack_header(os.pread(descriptor, HEADER_BYTES, 0))
    except (OSError, struct.error):
        header = None
    if header is None:
        os.close(descriptor)
        return None
    return FileSource(descriptor, header)
