"""Where merged numbers come from: this process's store, the other workers' files, the retired store."""

from __future__ import annotations

from array import array

from otel_obs.cells.attributes import Attributes
from otel_obs.cells.foreign_file import RETIRED, SUFFIX, ForeignFile
from otel_obs.cells.index import Series, Source
from otel_obs.cells.layout import (
    CELL_BYTES,
    COMMIT_AT,
    HEADER_BYTES,
    MOVED,
    RETIRED_WORKER,
    Header,
    unpack_commit,
    unpack_header,
)
from otel_obs.cells.store import Store
from otel_obs.host.signals import raise_interruption
from otel_obs.rundir.directory import RunDir

__all__ = ["FileSource", "OwnSource", "Series", "Source", "open_file"]

_STEP_CELLS = 32 * 1024
"""Cells that are copied at a time: the copy holds the GIL."""


class OwnSource(Source):
    """This process's store, read where it lies."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.header)
        self.store = store

    def refresh(self) -> None:
        """Read what is new, and the cells as they are now."""
        # Index before cells: a series gets its initial cells before its record is committed.
        self._take(self.store.index_bytes, None)
        cells, used = array("d"), self.store.used_cells
        for at in range(0, used, _STEP_CELLS):
            cells.frombytes(self.store.cells[at : min(at + _STEP_CELLS, used)].cast("B"))
        self.cells = cells

    def _read_index(self, start: int, length: int) -> bytes:
        return self.store.read_index(start, length)

    def _read_bytes(self, at: int, cells: int) -> bytes:
        return self.store.read_bytes(at, cells)


class FileSource(Source):
    """Another process's file, read with `os.pread` only: access to a mapping of a truncated file is a SIGBUS.

    Args:
        file: The open file.
        header: Its header.
    """

    def __init__(self, file: ForeignFile, header: Header) -> None:
        super().__init__(header)
        self.file = file
        self.is_abandoned = False
        """Whether the worker has moved to another file."""

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def refresh(self, decoded: dict[bytes, Attributes] | None = None) -> None:
        """Read what is new, and the cells as they are now.

        Args:
            decoded: Decoded attributes by their encoding, of this source or others; added to here.
        """
        # Read once: the worker may commit more meanwhile, which is left for the next refresh.
        data = self.file.read(COMMIT_AT, 8)
        word = int.from_bytes(data, "little")
        self.is_abandoned = word == MOVED
        if self.is_abandoned:
            return
        committed = unpack_commit(word) if len(data) == 8 else None
        if committed is None or committed > self.header.index_bytes:
            self.damage.reason = self.damage.reason or "the index has no valid length"
        else:
            # Index before cells: a series gets its initial cells before its record is committed.
            self._take(committed, {} if decoded is None else decoded)
        self.cells = self._read_cells()

    @property
    def _cells_there(self) -> int:
        # A truncated file is shorter than its header says.
        return min(super()._cells_there, (self.file.size_bytes - self.header.cells_at) // CELL_BYTES)

    def _read_index(self, start: int, length: int) -> bytes:
        return self.file.read(HEADER_BYTES + start, length)

    def _read_bytes(self, at: int, cells: int) -> bytes:
        try:
            return self.file.read(self.header.cells_at + at * CELL_BYTES, cells * CELL_BYTES)
        except FileNotFoundError:  # it was closed between scrapes, and folded in the meantime
            return b""

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
        """Set `is_dead` by the worker's lock. A pid proves nothing: it may have been reused."""
        self.is_dead = self.file.is_unlocked()


def open_file(run_dir: RunDir, name: str) -> FileSource | None:
    """Open a worker's file or the retired store.

    Returns:
        None where its header is damaged, of another version, or another file's.

    Raises:
        OSError: It cannot be opened; `FileNotFoundError` where it was folded in the meantime.
    """
    file = ForeignFile(run_dir, name)
    try:
        header = unpack_header(file.read(0, HEADER_BYTES))
    except OSError as error:
        raise_interruption(error)
        header = None
    # The name must be the worker's id: a copy of the file would count the worker twice.
    if header is None or name not in (RETIRED, header.worker.hex() + SUFFIX):
        file.close()
        return None
    if (header.worker == RETIRED_WORKER) != (name == RETIRED):
        file.close()
        return None
    return FileSource(file, header)
