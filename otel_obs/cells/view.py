"""One view of all workers: who is there, what they hold, and what the dead have left."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from threading import Lock

from otel_obs.cells.attributes import Attributes
from otel_obs.cells.ends import StreamEnds
from otel_obs.cells.layout import Kind, Stream
from otel_obs.cells.merge import MergedStream, decoded_from, is_counted
from otel_obs.cells.retire import RETIRED, fold
from otel_obs.cells.snapshot import Column, Snapshot
from otel_obs.cells.source import FileSource, OwnSource, Series, Source, open_file
from otel_obs.cells.store import Store
from otel_obs.cells.worker import Worker
from otel_obs.host.pace import AT_ONCE, breathe
from otel_obs.rundir.directory import RunDir

_logger = logging.getLogger("otel_obs")

SUFFIX = ".cells"
_SKIPPED = ".skipped"
"""The ending of the mark that a file is damaged: it outlives the file, and every worker counts the same."""

_SPARE_DECODED = 1000
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""A scrape fails then: without a worker the totals would fall, and who reads them would see a restart."""


class MergedView:
    """Reads a snapshot over all workers of the service, from within any of them.

    Args:
        worker: This process.
        run_dir: Gives the directory of the service's files, or None where this process is alone.
    """

    def __init__(self, worker: Worker, run_dir: Callable[[], RunDir | None] = lambda: None) -> None:
        self._worker = worker
        self._run_dir = run_dir
        self._files: dict[str, FileSource] = {}
        self._retired: FileSource | None = None
        self._reset()
        worker.on_fork.append(self._reset)

    def _reset(self) -> None:
        """Begin with nothing open; a child would otherwise keep its parent's descriptors."""
        for source in (*self._files.values(), self._retired):
            if source is not None:
                source.close()
        self._lock = Lock()
        self._own: dict[Store, OwnSource] = {}
        self._files = {}
        self._retired = None
        self._marked_in: RunDir | None = None
        self._marks: set[str] = set()
        self._unsaid: list[tuple[str, str]] = []
        self._merged: dict[Stream, MergedStream] = {}
        self._decoded: dict[bytes, Attributes] = {}
        self._ends: dict[Stream, StreamEnds] = {}

    def close(self) -> None:
        """Close what is open; a later reading opens it again."""
        with self._lock:
            self._reset()

    def snapshot(self) -> Snapshot:
        """Read every worker's numbers, then the retired store minus those that it already holds."""
        self._worker.check_fork()
        self._worker.settle()
        run_dir = self._run_dir()
        with self._lock:
            snapshot = self._snapshot(run_dir)
            unsaid, self._unsaid = self._unsaid, []
        # Not under the lock: a handler of the log may wait, or switch to a greenlet that scrapes too.
        for name, reason in unsaid:
            _logger.warning("skipped what cannot be read of worker file %s: %s", name, reason)
        return snapshot

    def _snapshot(self, run_dir: RunDir | None) -> Snapshot:
        sources: list[Source] = [*self._read_own()]
        folded: dict[bytes, float] = {}
        retired = None
        if run_dir is not None:
            sources.extend(self._read_files(run_dir))
            retired = self._read_retired(run_dir)
        if retired is not None:
            folded = retired.folded
            sources.append(retired)
        kept = [source for source in sources if source.worker not in folded]
        for source in sources:
            self._note_ends(source)
        columns = self._merge(kept)
        if run_dir is not None:
            self._fold_dead(run_dir)
        spare = self._worker.spare_opened
        workers = sum(not source.is_dead for source in kept) - (spare is not None)
        return Snapshot(columns, workers, len(self._marks))

    def _read_own(self) -> list[OwnSource]:
        stores = (self._worker.opened, self._worker.spare_opened)
        self._own = {store: self._own.get(store) or OwnSource(store) for store in stores if store is not None}
        for source in self._own.values():
            source.refresh()
        return list(self._own.values())

    def _read_files(self, run_dir: RunDir) -> list[FileSource]:
        own_name = self._worker.id.hex() + SUFFIX
        every = run_dir.names()
        if run_dir is not self._marked_in:
            self._marked_in, self._marks = run_dir, set()
        self._marks.update(name for name in every if name.endswith(_SKIPPED))
        names = [name for name in every if name.endswith(SUFFIX) and name != own_name]
        for name in self._files.keys() - set(names):
            self._files.pop(name).close()
        return [source for name in sorted(names) if (source := self._read_file(run_dir, name)) is not None]

    def _read_file(self, run_dir: RunDir, name: str) -> FileSource | None:
        try:
            source = self._refreshed(run_dir, name)
            if source is not None and source.is_abandoned:
                self._files.pop(name).close()
                source = self._refreshed(run_dir, name)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in _PASSING:
                raise
            self._skip(run_dir, name, error.strerror or str(error))
            return None
        if source is None:
            self._skip(run_dir, name, "its header is damaged or of another version")
        elif source.damage.reason:
            self._skip(run_dir, name, source.damage.reason)
        return source

    def _refreshed(self, run_dir: RunDir, name: str) -> FileSource | None:
        source = self._files.get(name)
        if source is None:
            source = open_file(run_dir, name)
            if source is None:
                return None
            self._files[name] = source
        # Whether it is alive comes first: one that dies in between is read whole and still counts.
        source.check_alive()
        source.refresh()
        return source

    def _skip(self, run_dir: RunDir, name: str, reason: str) -> None:
        """Count and log a damaged file, once in the whole service."""
        mark = name + _SKIPPED
        if mark not in self._marks:
            self._marks.add(mark)
            if run_dir.claim(mark) or mark not in run_dir.names():
                self._unsaid.append((name, reason))

    def _read_retired(self, run_dir: RunDir) -> FileSource | None:
        """Read the retired store; a fold has put another one in its place since, perhaps."""
        try:
            status = os.stat(RETIRED, dir_fd=run_dir.descriptor)
            if self._retired is None or not os.path.samestat(status, os.fstat(self._retired.descriptor)):
                if self._retired is not None:
                    self._retired.close()
                    self._retired = None
                self._retired = open_file(run_dir, RETIRED)
            if self._retired is None:
                self._skip(run_dir, RETIRED, "its header is damaged or of another version")
            else:
                self._retired.is_dead = True
                self._retired.refresh()
                if self._retired.damage.reason:
                    self._skip(run_dir, RETIRED, self._retired.damage.reason)
        except FileNotFoundError:
            return None
        return self._retired

    def _fold_dead(self, run_dir: RunDir) -> None:
        dead = [name for name, source in self._files.items() if source.is_dead]
        if dead:
            fold(run_dir, dead)

    def _note_ends(self, source: Source) -> None:
        """Take over what *source* says of ends; it may be gone before what it has ended is."""
        for end in source.ends:
            self._ends.setdefault(end.stream, StreamEnds()).add(end)
        source.ends.clear()

    def _lasting(self, stream: Stream, source: Source, series: Series) -> Series:
        """The *series* of a source but for those that ended after they were set there last."""
        ends, cells = self._ends.get(stream), source.cells
        if ends is None:
            return series
        ended = frozenset(
            key
            for key, offset in series.offsets.items()
            if cells[offset + 1] <= ends.of(key, decoded_from(key, self._decoded))
        )
        return series.without(ended) if ended else series

    def _merge(self, sources: list[Source]) -> list[Column]:
        per_stream: dict[Stream, list[tuple[Source, Series]]] = {}
        for source in sources:
            for stream, series in source.streams.items():
                if series.offsets and is_counted(stream, source):
                    lasting = self._lasting(stream, source, series)
                    if lasting.offsets:
                        per_stream.setdefault(stream, []).append((source, lasting))
        for stream in self._merged.keys() - per_stream.keys():
            del self._merged[stream]
        columns = []
        for stream, parts in per_stream.items():
            merged = self._merged.get(stream)
            if merged is None:
                merged = self._merged[stream] = MergedStream(stream)
            merged.update(parts, self._decoded)
            columns.append(merged.column())
        live = sum(len(column.table.attributes) for column in columns)
        if len(self._decoded) > 2 * live + _SPARE_DECODED:
            self._forget_decoded()
        return _with_shares(columns)

    def _forget_decoded(self) -> None:
        """Forget attributes, in pieces: a dictionary that is cleared at once lets go of all at once."""
        forgotten, self._decoded = self._decoded, {}
        while forgotten:
            for _ in range(min(AT_ONCE, len(forgotten))):
                forgotten.popitem()
            breathe()


def _with_shares(columns: list[Column]) -> list[Column]:
    """Compute the gauges that are a share of merged counters: the first one's part of their sum."""
    if not any(column.table.stream.merge.startswith("share:") for column in columns):
        return columns
    counters = {
        column.table.stream.name: dict(zip(column.table.attributes, column.values, strict=True))
        for column in columns
        if column.table.stream.kind is Kind.COUNTER
    }
    return [_share(column, counters) for column in columns]


def _share(column: Column, counters: dict[str, dict[Attributes, float]]) -> Column:
    rule, _, names = column.table.stream.merge.partition(":")
    if rule != "share":
        return column
    parts = [counters.get(name, {}) for name in names.split(",")]
    values = []
    for attributes in column.table.attributes:
        amounts = [part.get(attributes, 0.0) for part in parts]
        values.append(amounts[0] / sum(amounts) if sum(amounts) else 0.0)
    return Column(column.table, values, column.exemplars)
