"""The service that metrics record to and are read from: the one that `otel_obs.configure` sets up."""

from __future__ import annotations

import logging
from _thread import RLock
from collections.abc import Callable
from importlib import import_module
from typing import Protocol

from otel_obs.catalog.kit.early import arm
from otel_obs.cells.snapshot import Snapshot
from otel_obs.cells.view import MergedView
from otel_obs.exposition.plan import Options
from otel_obs.host import forks
from otel_obs.host.signals import raise_interruption
from otel_obs.sdk import MeterProvider

_logger = logging.getLogger("otel_obs")


class ClientService(Protocol):
    """The part of a pipeline that this package uses."""

    provider: MeterProvider

    def snapshot(self) -> Snapshot:
        """The merged numbers of all workers."""

    @property
    def options(self) -> Options:
        """How families are named and labelled."""


class _LoneService:
    """The service if otel_obs is off or could not be configured: each process counts for itself."""

    options = Options(has_target_info=False)

    def __init__(self) -> None:
        self.provider = MeterProvider(shutdown_on_exit=False)
        self._view = MergedView(self.provider.worker)

    def snapshot(self) -> Snapshot:
        """The numbers of this process."""
        return self._view.snapshot()


class _CurrentService:
    service: ClientService | None = None
    lock = RLock()


listeners: list[Callable[[ClientService], None]] = []
"""Called with every service before it is used."""


def current() -> ClientService:
    """The configured service; if there is none, it is configured now, from the environment."""
    service = _CurrentService.service
    if service is not None:
        return service
    # Held while the service is configured, so that two threads do not both do it.
    with _CurrentService.lock:
        service = _CurrentService.service
        if service is None:
            service = _configured() or _LoneService()
            set_current(service)
        return service


def known() -> ClientService | None:
    """The configured service; None if there is none yet."""
    return _CurrentService.service


def set_current(service: ClientService | None) -> None:
    """Record to *service* from now on; with None, `current` configures one at the next use."""
    _CurrentService.service = service
    if service is not None:
        for listener in listeners:
            listener(service)


def _configured() -> ClientService | None:
    # Imported here: `assembly` lies above this package, which must not import it at module level.
    root = import_module("otel_obs.assembly.setup")
    if root.Running.is_over:  # after `shutdown`, recording must not set up the service again
        return None
    try:
        service: ClientService | None = root.configure()
    except Exception as error:
        raise_interruption(error)
        _logger.exception("otel_obs could not be configured; metrics are those of this process alone")
        return None
    return service


arm()  # an application that imports this package will expose metrics: a record may set the process up


def _after_fork_in_child() -> None:
    # The thread that held the parent's lock does not exist here.
    _CurrentService.lock = RLock()


forks.after_in_child(_after_fork_in_child)
