"""One merged view of all workers of the service, and of what ended workers left in the retired store."""

from __future__ import annotations

import logging
import operator
from _thread import RLock
from collections.abc import Callable, Sequence

from otel_obs.cells.service_reader import ServiceReader
from otel_obs.cells.snapshot import Snapshot
from otel_obs.cells.worker import Worker
from otel_obs.errors import NotSharedError
from otel_obs.rundir.directory import RunDir

_logger = logging.getLogger("otel_obs")


class MergedView:
    """Reads a snapshot over all workers of the service, from within any of them.

    A scrape takes the cached `ServiceReader` out, and puts it back when it is complete. So an exception in
    the middle (a signal handler's, or `MemoryError`) discards the reading, and the next scrape reads all
    files again. A nested scrape on the same thread, from a finalizer or a signal handler, finds no cached
    reading and makes its own.

    Args:
        worker: This process.
        run_dir: Gives the directory of the service's files, or None where this process is alone.
    """

    def __init__(self, worker: Worker, run_dir: Callable[[], RunDir | None] = lambda: None) -> None:
        self._worker = worker
        self._run_dir = run_dir
        self._reading: ServiceReader | None = None
        self._in_use: set[ServiceReader] = set()
        self._reset()
        worker.on_fork.append(self._start_over)

    def _start_over(self) -> None:
        """Begin with nothing open; a child would otherwise keep its parent's descriptors."""
        # The parent's scraping threads do not exist here, and would never close their readings.
        in_use, self._in_use = self._in_use, set()
        for reading in in_use:
            reading.close()
        self._reset()

    def _reset(self) -> None:
        reading, self._reading = self._reading, None
        # Re-entrant, for nested scrapes. A new one, since in a child a thread of the parent may hold the old.
        self._lock = RLock()
        if reading is not None:
            reading.close()

    def close(self) -> None:
        """Close what is open; a later reading opens it again."""
        with self._lock:
            self._reset()

    def snapshot(self) -> Snapshot:
        """Read every worker's file, then the retired stores; leave out workers that a store contains.

        Raises:
            NotSharedError: It is known that numbers of other workers cannot be read.
        """
        self._worker.check_fork()
        self._worker.settle()
        run_dir = self._run_dir()
        run_dirs = [] if run_dir is None else [run_dir, *self._worker.elsewhere()]
        reason = self._worker.what_is_apart()
        if reason:
            raise NotSharedError(reason)
        with self._lock:
            reading, self._reading = self._reading, None
            if reading is None or not _are_same(reading.run_dirs, run_dirs):
                if reading is not None:
                    reading.close()
                reading = ServiceReader(self._worker, run_dirs)
            in_use = self._in_use
            try:
                # Noted for `_start_over`: in a child no thread is left that would close it.
                in_use.add(reading)
                snapshot = reading.snapshot()
                unsaid = reading.take_unsaid()
            except BaseException:
                reading.close()
                raise
            finally:
                in_use.discard(reading)
            self._keep(reading)
        # Log after the lock is released: a logging handler may block, or switch to a greenlet that scrapes.
        for name, reason in unsaid:
            _logger.warning("skipped what cannot be read of worker file %s: %s", name, reason)
        return snapshot

    def _keep(self, reading: ServiceReader) -> None:
        other, self._reading = self._reading, reading
        if other is not None:  # left by a nested scrape
            other.close()


def _are_same(left: Sequence[RunDir], right: Sequence[RunDir]) -> bool:
    return len(left) == len(right) and all(map(operator.is_, left, right))
