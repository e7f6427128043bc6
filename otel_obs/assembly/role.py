"""Whether this process is a worker, or only serves the numbers of workers, as the master of a server may."""

from __future__ import annotations

from otel_obs.cells.foreign_file import SUFFIX
from otel_obs.cells.membership import Service
from otel_obs.cells.worker import Worker
from otel_obs.host.masters import is_master


class Role:
    """What this process is in its service: it must not become a worker by what otel_obs measures of itself.

    Args:
        worker: Knows whether this process has recorded anything.
        service: The service.
    """

    def __init__(self, worker: Worker, service: Service) -> None:
        self._worker, self._service = worker, service

    def has_recorded(self) -> bool:
        """Whether this process has recorded anything, or was set up as a worker."""
        return self._worker.opened is not None

    def is_worker(self) -> bool:
        """Whether this process has recorded anything, is no root, or is the service's only one so far.

        A master is none, also where it has no workers yet, or takes over from another one.
        """
        if self.has_recorded():
            return True
        return not (self._service.is_root() and self._has_workers()) and not is_master()

    def _has_workers(self) -> bool:
        run_dir = self._service.run_dir()
        return run_dir is not None and any(name.endswith(SUFFIX) for name in run_dir.names())
