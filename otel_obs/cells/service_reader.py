"""Reads all sources of a service and merges them; keeps what is known from scrape to scrape."""

from __future__ import annotations

import time
from collections.abc import Sequence

from otel_obs.cells.attributes import Attributes
from otel_obs.cells.foreign_file import SUFFIX
from otel_obs.cells.gauge_rules import MergedCounters, split_rule
from otel_obs.cells.merge import MergedStream, decoded_from, is_counted
from otel_obs.cells.removals import StreamEnds
from otel_obs.cells.shelf import Shelf
from otel_obs.cells.snapshot import Column, Snapshot
from otel_obs.cells.source import FileSource, OwnSource, Series, Source
from otel_obs.cells.store import Store
from otel_obs.cells.stream import Kind, Stream
from otel_obs.cells.validity import InvalidError
from otel_obs.cells.worker import Worker
from otel_obs.errors import NotSharedError
from otel_obs.host.pace import AT_ONCE, breathe
from otel_obs.host.signals import raise_interruption
from otel_obs.rundir.apart import registered, slot_of
from otel_obs.rundir.directory import RunDir

_ATTEMPTS = 4
"""Reads of all files before a missing worker fails the scrape: it may be moving to another file."""

_PAUSE_S = 0.005
_AHEAD_S = 5.0
"""How long a page may take to be made."""
_SPARE_DECODED = 1000
_FAULTS = (InvalidError, ValueError, ArithmeticError, LookupError, TypeError)
"""Errors that bad data of a stream can cause. Any other one fails the scrape, and the next reads anew."""

Holders = list[tuple[Source, Series]]
"""The sources that have a stream, each with its series."""


class ServiceReader:
    """The open files, their indexes, and the merged streams.

    It is not locked, and must not be used again after an exception: see `MergedView`.

    Args:
        worker: This process.
        run_dirs: Where the other workers' files are; none where this process is alone.
    """

    def __init__(self, worker: Worker, run_dirs: Sequence[RunDir]) -> None:
        self.run_dirs = run_dirs
        self._worker = worker
        self._own: dict[Store, OwnSource] = {}
        self._decoded: dict[bytes, Attributes] = {}
        self._shelves = [Shelf(run_dir, self._decoded) for run_dir in run_dirs]
        self._merged: dict[Stream, MergedStream] = {}
        self._ends: dict[Stream, StreamEnds] = {}

    def close(self) -> None:
        """Close all files."""
        for shelf in self._shelves:
            shelf.close()

    def take_unsaid(self) -> list[tuple[str, str]]:
        """Files that could not be read, or not whole, and why, since the last call."""
        said: list[tuple[str, str]] = []
        for shelf in self._shelves:
            unsaid, shelf.unsaid = shelf.unsaid, []
            said += unsaid
        return said

    def snapshot(self) -> Snapshot:
        """Read every worker's file, then the retired stores; leave out workers that a store contains.

        Raises:
            NotSharedError: A worker exists, and its file cannot be found.
        """
        for shelf in self._shelves:
            # Ahead of time: another worker may fold what is read here before this page is complete.
            shelf.begin_page(time.time() + _AHEAD_S)
        kept = self._read_whole()
        # Before the merge: what a fold makes one series, no page should have shown by itself.
        has_folded = [shelf.fold_dead() for shelf in self._shelves]
        if any(has_folded):
            kept = self._read_whole()
        columns = self._merge(kept)
        for shelf in self._shelves:
            shelf.end_page(time.time())
        # This worker's spare store is a second source of the same worker.
        spare = self._worker.spare_opened
        workers = sum(not source.is_dead for source in kept) - (spare is not None)
        return Snapshot(columns, workers, sum(shelf.skipped for shelf in self._shelves))

    def _read_whole(self) -> list[Source]:
        """The sources to merge, none of which is missing."""
        for _ in range(_ATTEMPTS):
            kept, missing = self._read_all()
            if not missing:
                return kept
            time.sleep(_PAUSE_S)  # a worker may be moving to another file
        raise NotSharedError(f"files of {missing} workers were taken away; they will make others")

    def _read_all(self) -> tuple[list[Source], int]:
        """The sources to merge, and how many registered workers have none."""
        # Seats before files: a worker that comes later is not missed, one that ends is in a retired store.
        places = [*self.run_dirs, *self._worker.left_dirs()]
        seats = set().union(*(registered(run_dir) for run_dir in places))
        own: list[Source] = [*self._read_own()]
        found: dict[bytes, FileSource] = {}
        folded: dict[bytes, float] = {}
        retired: list[FileSource] = []
        for shelf in self._shelves:
            for file in shelf.read(self._worker.id.hex() + SUFFIX):
                # A worker that moves between directories may be in both for a moment: the later file counts.
                before = found.get(file.worker)
                if before is None or before.header.started_s < file.header.started_s:
                    found[file.worker] = file
        # After the workers' files. A worker that is folded in between is in both, and its file is left out
        # below; in the other order it would be in neither.
        for shelf in self._shelves:
            store = shelf.read_retired()
            if store is not None:
                folded.update(store.folded)
                retired.append(store)
        # Sorted, so that every worker renders the same page.
        retired.sort(key=_place)
        sources: list[Source] = [*sorted([*own, *found.values()], key=_worker), *retired]
        kept = [source for source in sources if source.worker not in folded or _lives(source)]
        for source in sources:
            self._note_ends(source)
        known = {slot_of(worker) for worker in (*folded, *found, self._worker.id)}
        return kept, len(seats - known - self._skipped_seats())

    def _skipped_seats(self) -> set[int]:
        """The seats of workers whose files cannot be read: these are counted and logged elsewhere."""
        names = {name for shelf in self._shelves for name in shelf.skipped_workers()}
        return {slot_of(bytes.fromhex(name)) for name in names}

    def _read_own(self) -> list[OwnSource]:
        stores = (self._worker.opened, self._worker.spare_opened)
        self._own = {store: self._own.get(store) or OwnSource(store) for store in stores if store is not None}
        for source in self._own.values():
            source.refresh()
        return list(self._own.values())

    def _note_ends(self, source: Source) -> None:
        """Take over the ends that *source* recorded: they hold even when the source is gone."""
        for end in source.ends:
            self._ends.setdefault(end.stream, StreamEnds()).add(end)
        source.ends.clear()

    def _lasting(self, stream: Stream, source: Source, series: Series) -> Series:
        """The *series* of a source without those that ended after that source set them last."""
        ends, cells = self._ends.get(stream), source.cells
        if ends is None:
            return series
        # The time of a gauge is negative where it was only counted up and down.
        ended = frozenset(
            key
            for key, offset in series.offsets.items()
            if abs(cells[offset + 1]) <= ends.of(key, decoded_from(key, self._decoded))
        )
        return series.without(ended) if ended else series

    def _merge(self, sources: list[Source]) -> list[Column]:
        per_stream: dict[Stream, Holders] = {}
        for source in sources:
            for stream, series in source.streams.items():
                if series.offsets and is_counted(stream, source):
                    lasting = self._lasting(stream, source, series)
                    if lasting.offsets:
                        per_stream.setdefault(stream, []).append((source, lasting))
        for stream in self._merged.keys() - per_stream.keys():
            del self._merged[stream]
        columns = []
        for stream, holders in per_stream.items():
            column = self._column(stream, holders)
            if column is not None:
                columns.append(column)
        # Series that are gone have left their decoded attributes behind.
        live = sum(len(column.table.attributes) for column in columns)
        if len(self._decoded) > 2 * live + _SPARE_DECODED:
            self._forget_decoded()
        return _with_computed(columns)

    def _column(self, stream: Stream, holders: Holders) -> Column | None:
        """The merged stream, without the sources whose part of it cannot be merged."""
        try:
            merged = self._merged.get(stream)
            if merged is None:
                merged = self._merged[stream] = MergedStream(stream)
            return merged.column(holders, self._decoded)
        except _FAULTS as error:
            raise_interruption(error)
            self._merged.pop(stream, None)
            return self._column_of_sound(stream, holders, error)

    def _column_of_sound(self, stream: Stream, holders: Holders, error: Exception) -> Column | None:
        """Find the faulty sources by merging each alone, and merge the others."""
        sound: Holders = []
        for source, series in holders:
            try:
                MergedStream(stream).column([(source, series)], self._decoded)
                sound.append((source, series))
            except _FAULTS as reason:
                raise_interruption(reason)
                self._complain(source, f"{stream.name}: {reason}")
        if sound and len(sound) < len(holders):
            return MergedStream(stream).column(sound, self._decoded)
        if sound:
            self._complain(sound[0][0], f"{stream.name}: {error!r}")
        return None

    def _complain(self, source: Source, reason: str) -> None:
        for shelf in self._shelves:
            if isinstance(source, FileSource) and source.file.run_dir is shelf.run_dir:
                shelf.skip(source.file.name, reason)

    def _forget_decoded(self) -> None:
        """Forget decoded attributes in pieces: `clear` would free all of them in one step, under the GIL."""
        decoded = self._decoded
        while decoded:
            for _ in range(min(AT_ONCE, len(decoded))):
                decoded.popitem()
            breathe()


def _worker(source: Source) -> bytes:
    return source.worker


def _place(retired: FileSource) -> str:
    return retired.file.run_dir.path


def _lives(source: Source) -> bool:
    """Whether the worker of *source* lives: a retired store that names a live worker is wrong."""
    if isinstance(source, FileSource):
        source.check_alive()
    return not source.is_dead


def _with_computed(columns: list[Column]) -> list[Column]:
    """Compute the gauges whose rule takes their values from the merged counters."""
    if not any(_is_computed(column.table.stream) for column in columns):
        return columns
    counters = {
        column.table.stream.name: dict(zip(column.table.attributes, column.values, strict=True))
        for column in columns
        if column.table.stream.kind is Kind.COUNTER
    }
    return [_computed(column, counters) for column in columns]


def _is_computed(stream: Stream) -> bool:
    return stream.kind is Kind.GAUGE and split_rule(stream.merge)[0].compute is not None


def _computed(column: Column, counters: MergedCounters) -> Column:
    if not _is_computed(column.table.stream):
        return column
    rule, told = split_rule(column.table.stream.merge)
    assert rule.compute is not None
    values = [rule.compute(told, attributes, counters) for attributes in column.table.attributes]
    return column._replace(values=values)
