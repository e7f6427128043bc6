"""Folding dead workers' counters and histograms into one retired store, so that files stay bounded.

A dead worker's gauges and updowncounters vanish with it. The fold survives a crash at any step: the
new store is written whole and renamed into place, and it names the workers that it contains. A reader
reads the workers' files first and then the store, and leaves out the workers that the store names.

Of a stream with more series than its limit, those become one that no page has shown. What a page has shown
by itself stays so: in another series, `increase()` would count it a second time.
"""

from __future__ import annotations

import contextlib
import operator
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from typing import NamedTuple

from otel_obs.cells.attributes import OVERFLOW
from otel_obs.cells.exemplar import SLOT_CELLS, labels_of, latest, pack
from otel_obs.cells.exponential import combine, decode, encode_cells
from otel_obs.cells.foreign_file import NEW, RETIRED, open_regular, remove
from otel_obs.cells.layout import CELL_BYTES, MAX_CELLS_BYTES, MAX_INDEX_BYTES, RETIRED_WORKER
from otel_obs.cells.mapped import file_store
from otel_obs.cells.snapshot import Exemplar
from otel_obs.cells.source import FileSource, Series, open_file
from otel_obs.cells.store import StoreFullError
from otel_obs.cells.stream import Kind, Stream
from otel_obs.cells.summation import split
from otel_obs.cells.validity import InvalidError
from otel_obs.host.descriptors import Descriptor
from otel_obs.host.pace import breathe, pieces
from otel_obs.host.signals import raise_interruption, tolerate
from otel_obs.rundir.directory import RunDir, lock

_AT_ONCE = 50
"""Series that are summed and written in about a millisecond."""

_FILES_AT_ONCE = 32
"""Files of dead workers that are open at a time."""

_NEW_RETIRED = RETIRED + NEW
_FOLD_LOCK = "fold.lock"
KEEP_IDS_S = 600.0
"""How long the store names a worker: longer than any scrape that read the worker's file may last."""

_UNFINISHED_S = 60.0
"""The age at which an unfinished file that nobody has locked counts as left by a killed worker."""

_SPARE_BYTES = 2 << 20

LASTING = (Kind.COUNTER, Kind.HISTOGRAM, Kind.EXPONENTIAL)
"""The kinds of streams whose values stay in the totals when their worker has ended."""

RecordFlaws = dict[str, str]
"""Why something of a file was left out, by the file's name."""


def fold(
    run_dir: RunDir,
    names: Iterable[str],
    clock: Callable[[], float] = time.monotonic,
    flaws: RecordFlaws | None = None,
    told_s: float | None = None,
) -> None:
    """Add the dead workers' files *names* to the retired store and remove them.

    Does nothing where another process is folding, or where there is no room: the files stay and are
    counted as they are.

    Args:
        run_dir: Where the files are.
        names: Files whose workers are dead.
        clock: Monotonic seconds, the same in all workers.
        flaws: Filled with what was left out, and why.
        told_s: What began by then was shown, in seconds since 1970; None asks the directory.
    """
    every = list(names)
    flaws = {} if flaws is None else flaws
    try:
        opened = open_regular(run_dir, _FOLD_LOCK, os.O_CREAT | os.O_RDWR)
    except OSError as error:
        raise_interruption(error)
        remove(run_dir, _FOLD_LOCK)  # it is no regular file, so that no process holds its lock
        return
    with tolerate(OSError, StoreFullError), opened as descriptor:
        # One fold at a time over all processes; the lock ends with the process that holds it.
        if lock(descriptor, exclusive=True):
            for piece in pieces(len(every), _FILES_AT_ONCE):
                shown_s = run_dir.told_s() if told_s is None else told_s
                _fold_locked(run_dir, every[piece], clock(), shown_s, flaws)
            _remove_unfinished(run_dir)


def _fold_locked(run_dir: RunDir, names: list[str], now_s: float, told_s: float, flaws: RecordFlaws) -> None:
    with contextlib.ExitStack() as opened:
        retired = _open(run_dir, RETIRED, opened)
        folded = dict(retired.folded) if retired else {}
        present = {name: _open(run_dir, name, opened) for name in names}
        new = [
            source
            for source in present.values()
            if source and source.worker not in folded and not source.is_abandoned
        ]
        if new:
            kept = {worker: at_s for worker, at_s in folded.items() if now_s - at_s < KEEP_IDS_S}
            # The file of a folded worker is still here if the folding process died before removing it.
            kept.update((each.worker, now_s) for each in present.values() if each and not each.is_abandoned)
            # The old store comes first: if there are too many series, those that it has are kept.
            total = _Sum([retired, *new] if retired else new, told_s, flaws)
            _write(run_dir, total, kept)
        # Only now that the new store is in place: a crash before this leaves files that the store names.
        for name, source in present.items():
            if source is not None:
                run_dir.unlink(name)


def _open(run_dir: RunDir, name: str, opened: contextlib.ExitStack) -> FileSource | None:
    """Read a file whole; None where it is gone, or so damaged that nothing of it can be used."""
    try:
        source = open_file(run_dir, name)
    except FileNotFoundError:
        return None
    if source is not None:
        opened.callback(source.close)
        source.refresh()
    return source


def _write(run_dir: RunDir, total: _Sum, folded: dict[bytes, float]) -> None:
    """Write *total* as the new retired store, whole, and put it in place.

    Where there is no room for all of it, it is written without exemplars; where not even a file of the
    greatest size has room, with fewer series of each stream.
    """
    while True:
        # A fold that was killed may have left one; the fold lock keeps others from writing it now.
        run_dir.unlink(_NEW_RETIRED)
        try:
            opened = run_dir.open(_NEW_RETIRED, os.O_CREAT | os.O_EXCL | os.O_RDWR)
            _fill(opened, total, folded)
            _put_in_place(run_dir)
            return
        except StoreFullError as error:
            raise_interruption(error)
            run_dir.unlink(_NEW_RETIRED)
            # A failed `posix_fallocate` is the cause; without one the largest file is too small.
            is_disk_full = error.__cause__ is not None
            if not total.has_exemplars and (is_disk_full or total.share < _LEAST_SHARE):
                raise
            total.share, total.has_exemplars = total.share if is_disk_full else total.share / 2, False
        except OSError:
            run_dir.unlink(_NEW_RETIRED)
            raise


_LEAST_SHARE = 1e-4
"""The fold is given up where not even this share of the series has room."""


def _put_in_place(run_dir: RunDir) -> None:
    try:
        run_dir.rename(_NEW_RETIRED, RETIRED)
    except IsADirectoryError:  # not made by otel_obs: moved aside, not removed
        run_dir.rename(RETIRED, f"{RETIRED}.{time.time_ns()}")
        run_dir.rename(_NEW_RETIRED, RETIRED)


def _fill(opened: Descriptor, total: _Sum, folded: dict[bytes, float]) -> None:
    index_bytes, cells_bytes = total.sizes(len(folded))
    store = file_store(opened, time.time(), RETIRED_WORKER, index_bytes, cells_bytes)
    try:
        for stream, attributes, each in total:
            cells = _retired_cells(stream, each)
            offset = store.add_series(stream, attributes, each.created_s, cells, total.limits[stream])
            if each.exemplars and total.has_exemplars:
                at = store.add_exemplars(stream, offset)
                for exemplar in each.exemplars:
                    packed = pack(exemplar.value, exemplar.unix_s, labels_of(exemplar))
                    store.write_exemplar(at, exemplar.bucket, packed)
        for worker, at_s in folded.items():
            store.note_folded(worker, at_s)
        store.note_newest(end for source in total.sources for end in source.ends)
    finally:
        store.discard()


def _remove_unfinished(run_dir: RunDir) -> None:
    """Remove the files of workers that were killed while they made them."""
    for name in run_dir.names():
        if name.endswith(NEW) and name != _NEW_RETIRED:
            with tolerate(OSError):
                opened = open_regular(run_dir, name, os.O_RDONLY)
                with opened as descriptor:
                    age_s = time.time() - opened.opened.st_mtime
                    # A live worker that is so slow finds its file gone, and makes another one.
                    if age_s > _UNFINISHED_S and lock(descriptor, exclusive=True):
                        run_dir.unlink(name)


class _RetiredTotal(NamedTuple):
    """One series over several sources; `terms` add up to its sum, exactly."""

    created_s: float
    cells: Sequence[float]
    terms: tuple[float, ...]
    exemplars: list[Exemplar]


class _Sum:
    """Yields each lasting series, summed over all sources; a list would be work for the garbage collector.

    A stream keeps as many series as its limit allows, and those that a page has shown; the rest are added to
    its overflow series.

    Args:
        sources: The stores to sum; where there are too many series, those of the first ones are kept.
        told_s: What began by then was shown, in seconds since 1970.
        flaws: Filled with what is left out.
    """

    def __init__(self, sources: list[FileSource], told_s: float, flaws: RecordFlaws) -> None:
        self.sources = sources
        self.share, self.has_exemplars = 1.0, True
        """The part of its limit that a stream may keep, and whether exemplars are kept; less where there is
        no room."""
        self._told_s, self._flaws = told_s, flaws
        self.limits: dict[Stream, int] = {}
        for source in sources:
            for stream, limit in source.limits.items():
                self.limits[stream] = max(limit, self.limits.get(stream, 0))

    def sizes(self, folded: int) -> tuple[int, int]:
        """The bytes that the index and the cells take at most: those of all sources together."""
        index = sum(source.index_bytes for source in self.sources) + 64 * folded
        cells = 0
        for source in self.sources:
            for stream, series in source.streams.items():
                width = max(stream.cells, stream.rest_at + 1)
                rooms = len(series.exemplars) * self.has_exemplars
                cells += width * len(series.offsets) + rooms * stream.exemplar_slots * SLOT_CELLS
        return _whole(2 * index + _SPARE_BYTES, MAX_INDEX_BYTES), _whole(
            cells * CELL_BYTES + _SPARE_BYTES, MAX_CELLS_BYTES
        )

    def __iter__(self) -> Iterator[tuple[Stream, bytes, _RetiredTotal]]:
        for stream in dict.fromkeys(stream for source in self.sources for stream in source.streams):
            if stream.kind in LASTING:
                yield from self._of(stream)

    def _of(self, stream: Stream) -> Iterator[tuple[Stream, bytes, _RetiredTotal]]:
        holders = [(source, source.streams[stream]) for source in self.sources if stream in source.streams]
        keys = list(dict.fromkeys(key for _, series in holders for key in series.offsets if key != OVERFLOW))
        # One series of the limit is the overflow series.
        room = max(int(self.limits[stream] * self.share) - 1, 0)
        kept, rest = keys[:room], keys[room:]
        if self.share == 1.0:
            told = {key: self._is_told(holders, key) for key in rest}
            kept += [key for key in rest if told[key]]
            rest = [key for key in rest if not told[key]]
        for piece in pieces(len(kept), _AT_ONCE):
            for key in kept[piece]:
                total = self._added(stream, holders, key, None)
                if total is not None:
                    yield stream, key, total
        overflow: _RetiredTotal | None = self._added(stream, holders, OVERFLOW, None)
        for number, key in enumerate(rest):
            overflow = self._added(stream, holders, key, overflow)
            if number % _AT_ONCE == 0:
                breathe()
        if overflow is not None:
            yield stream, OVERFLOW, overflow

    def _is_told(self, holders: list[tuple[FileSource, Series]], key: bytes) -> bool:
        return any(
            key in series.offsets and (source.is_retired or series.created_s[key] <= self._told_s)
            for source, series in holders
        )

    def _added(
        self,
        stream: Stream,
        holders: list[tuple[FileSource, Series]],
        key: bytes,
        total: _RetiredTotal | None,
    ) -> _RetiredTotal | None:
        """*total* plus one series of all holders; None where no holder has it."""
        found = [] if total is None else [total]
        for source, series in holders:
            if key in series.offsets:
                try:
                    found.append(_read(source, series, stream, key))
                except InvalidError as error:
                    self._flaws[source.file.name] = str(error)
        return reduce(partial(_add, stream), found) if found else None


def _whole(size: int, most: int) -> int:
    """*size* rounded up to whole pages, but at most *most*."""
    return min(-(-size // 4096) * 4096, most)


def _read(source: FileSource, series: Series, stream: Stream, key: bytes) -> _RetiredTotal:
    cells = _cells(source, stream, series.offsets[key])
    return _RetiredTotal(
        series.created_s[key],
        cells,
        (cells[stream.sum_at], *cells[stream.rest_at : stream.rest_at + source.is_retired]),
        source.exemplars(stream, key),
    )


def _cells(source: FileSource, stream: Stream, offset: int) -> Sequence[float]:
    if stream.kind is Kind.EXPONENTIAL:
        return source.whole(stream, offset)
    return source.cells[offset : offset + max(stream.cells, stream.rest_at + 1)]


def _add(stream: Stream, left: _RetiredTotal, right: _RetiredTotal) -> _RetiredTotal:
    if stream.kind is Kind.EXPONENTIAL:
        max_size = int(stream.bounds[0])
        value = combine(decode(left.cells, max_size), decode(right.cells, max_size), max_size)
        cells = encode_cells(value, max_size)
    else:
        cells = list(map(operator.add, left.cells, right.cells))
    return _RetiredTotal(
        min(left.created_s, right.created_s),
        cells,
        split((*left.terms, *right.terms)),
        latest([*left.exemplars, *right.exemplars]),
    )


def _retired_cells(stream: Stream, total: _RetiredTotal) -> list[float]:
    """What the retired store holds of a series: its sum in two parts, so that nothing is rounded away."""
    cells = [*total.cells, 0.0][: max(stream.cells, stream.rest_at + 1)]
    cells[stream.sum_at], cells[stream.rest_at] = split(total.terms)
    return cells
