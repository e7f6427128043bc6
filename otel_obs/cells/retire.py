"""Folding dead workers' counters and histograms into one retired store, so that files stay bounded.

A dead worker's gauges and updowncounters vanish with it. The fold survives a crash at any step: the
new store is written whole and renamed into place, it names the workers that are in it, and whoever
reads a worker's file and then the store leaves out the workers that the store names.
"""

from __future__ import annotations

import contextlib
import operator
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from typing import NamedTuple

from otel_obs.cells.exact import split
from otel_obs.cells.exemplar import labels_of, latest, pack
from otel_obs.cells.exponential import combine, decode, encode
from otel_obs.cells.layout import RETIRED_WORKER, Kind, Stream
from otel_obs.cells.snapshot import Exemplar
from otel_obs.cells.source import FileSource, Series, open_file
from otel_obs.cells.store import StoreFullError, file_store
from otel_obs.host.pace import pieces
from otel_obs.rundir.directory import RunDir, lock

_AT_ONCE = 50
"""So many series are summed and written in about a millisecond."""

RETIRED = "retired"
NEW = ".new"
"""The ending of a file that is not complete."""

_NEW_RETIRED = RETIRED + NEW
_FOLD_LOCK = "fold.lock"
KEEP_IDS_S = 600.0
"""How long the store names a worker: longer than any scrape that read the worker's file may last."""

_UNFINISHED_S = 60.0

LASTING = (Kind.COUNTER, Kind.HISTOGRAM, Kind.EXPONENTIAL)
"""What outlives its worker."""


def fold(run_dir: RunDir, names: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
    """Add the dead workers' files *names* to the retired store and remove them.

    Does nothing where another process is folding, or where there is no room: the files stay and are
    counted as they are.

    Args:
        run_dir: Where the files are.
        names: Files whose workers are dead.
        clock: Seconds, on a clock that all workers share and nobody sets.
    """
    try:
        descriptor = run_dir.open(_FOLD_LOCK, os.O_CREAT | os.O_RDWR)
    except OSError:
        return
    try:
        if lock(descriptor, exclusive=True):
            _fold_locked(run_dir, names, clock())
            _remove_unfinished(run_dir)
    except (OSError, StoreFullError):
        return
    finally:
        os.close(descriptor)


def _fold_locked(run_dir: RunDir, names: Iterable[str], now_s: float) -> None:
    with contextlib.ExitStack() as opened:
        retired = _open(run_dir, RETIRED, opened)
        folded = dict(retired.folded) if retired else {}
        present = {name: _open(run_dir, name, opened) for name in names}
        new = [source for source in present.values() if source and source.worker not in folded]
        if new:
            kept = {worker: at_s for worker, at_s in folded.items() if now_s - at_s < KEEP_IDS_S}
            # A file that is still here was folded by somebody who died before removing it.
            kept.update((source.worker, now_s) for source in present.values() if source)
            _write(run_dir, [*new, retired] if retired else new, kept)
        for name in present:
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


def _write(run_dir: RunDir, sources: list[FileSource], folded: dict[bytes, float]) -> None:
    """Write the sum of *sources* as the new retired store, whole, and put it in place."""
    run_dir.unlink(_NEW_RETIRED)
    try:
        _fill(run_dir.open(_NEW_RETIRED, os.O_CREAT | os.O_EXCL | os.O_RDWR), sources, folded)
        run_dir.rename(_NEW_RETIRED, RETIRED)
    except (OSError, StoreFullError):
        run_dir.unlink(_NEW_RETIRED)
        raise


def _fill(descriptor: int, sources: list[FileSource], folded: dict[bytes, float]) -> None:
    store = file_store(descriptor, time.time(), RETIRED_WORKER)
    try:
        for stream, attributes, total in _sum(sources):
            offset = store.add_series(stream, attributes, total.created_s, _retired_cells(stream, total))
            if total.exemplars:
                at = store.add_exemplars(stream, offset)
                for each in total.exemplars:
                    store.write_exemplar(at, each.bucket, pack(each.value, each.unix_s, labels_of(each)))
        for worker, at_s in folded.items():
            store.note_folded(worker, at_s)
        store.note_newest(end for source in sources for end in source.ends)
    finally:
        store.discard()


def _remove_unfinished(run_dir: RunDir) -> None:
    """Remove the files of workers that were killed while they made them."""
    for name in run_dir.names():
        if name.endswith(NEW) and name != _NEW_RETIRED:
            with contextlib.suppress(OSError):
                descriptor = run_dir.open(name, os.O_RDONLY)
                try:
                    age_s = time.time() - os.fstat(descriptor).st_mtime
                    # A maker that is so slow finds out, and begins again.
                    if age_s > _UNFINISHED_S and lock(descriptor, exclusive=True):
                        run_dir.unlink(name)
                finally:
                    os.close(descriptor)


class _Total(NamedTuple):
    """One series over several sources; `terms` add up to its sum, exactly."""

    created_s: float
    cells: Sequence[float]
    terms: tuple[float, ...]
    exemplars: list[Exemplar]


def _sum(sources: list[FileSource]) -> Iterator[tuple[Stream, bytes, _Total]]:
    """Each lasting series over all *sources*, one by one: the garbage collector would go over all of them."""
    for stream in dict.fromkeys(stream for source in sources for stream in source.streams):
        holders = [(source, source.streams[stream]) for source in sources if stream in source.streams]
        if stream.kind in LASTING:
            keys = list(dict.fromkeys(key for _, series in holders for key in series.offsets))
            for piece in pieces(len(keys), _AT_ONCE):
                for key in keys[piece]:
                    found = [_read(*holder, stream, key) for holder in holders if key in holder[1].offsets]
                    yield stream, key, reduce(partial(_add, stream), found)


def _read(source: FileSource, series: Series, stream: Stream, key: bytes) -> _Total:
    cells = _cells(source, stream, series.offsets[key])
    return _Total(
        series.created_s[key],
        cells,
        (cells[stream.sum_at], *cells[stream.rest_at : stream.rest_at + source.is_retired]),
        source.exemplars(stream, key),
    )


def _cells(source: FileSource, stream: Stream, offset: int) -> Sequence[float]:
    if stream.kind is Kind.EXPONENTIAL:
        return source.whole(stream, offset)
    return source.cells[offset : offset + max(stream.cells, stream.rest_at + 1)]


def _add(stream: Stream, left: _Total, right: _Total) -> _Total:
    if stream.kind is Kind.EXPONENTIAL:
        max_size = int(stream.bounds[0])
        value = combine(decode(left.cells, max_size), decode(right.cells, max_size), max_size)
        cells = encode(value, max_size)
    else:
        cells = list(map(operator.add, left.cells, right.cells))
    return _Total(
        min(left.created_s, right.created_s),
        cells,
        split((*left.terms, *right.terms)),
        latest([*left.exemplars, *right.exemplars]),
    )


def _retired_cells(stream: Stream, total: _Total) -> list[float]:
    """What the retired store holds of a series: its sum in two parts, so that nothing is rounded away."""
    cells = [*total.cells, 0.0][: max(stream.cells, stream.rest_at + 1)]
    cells[stream.sum_at], cells[stream.rest_at] = split(total.terms)
    return cells
