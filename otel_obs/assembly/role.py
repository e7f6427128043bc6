"""Whether this process is a worker, or only serves the numbers of workers, as the master of a server may."""

from __future__ import annotations

from collections.abc import Callable

from otel_obs.cells.foreign_file import SUFFIX
from otel_obs.cells.worker import Worker
from otel_obs.rundir.directory import RunDir


class Role:
    """What this process is in its service: it must not become a worker by what otel_obs measures of itself.

    Args:
        worker: Knows whether this process has recorded anything.
        run_dir: Returns the service's directory, or None where this process is alone.
    """

    def __init__(self, worker: Worker, run_dir: Callable[[], RunDir | None]) -> None:
        self._worker, self._run_dir = worker, run_dir

    def has_recorded(self) -> bool:
        """Whether this process has recorded anything, or was set up as a worker."""
        return self._worker.opened is not None

    def is_worker(self) -> bool:
        """Whether this process has recorded anything, or is the service's only one so far."""
        return self.has_recorded() or not self._has_workers()

    def _has_workers(self) -> bool:
        run_dir = self._run_dir()
        return run_dir is not None and any(name.endswith(SUFFIX) for name in run_dir.names())
