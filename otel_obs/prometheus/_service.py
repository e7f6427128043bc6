"""Where the metrics record and what reads them over all workers: what `otel_obs.configure` sets up."""

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
from otel_obs.sdk import MeterProvider

_logger = logging.getLogger("otel_obs")


class ClientService(Protocol):
    """What is needed of a pipeline."""

    provider: MeterProvider

    def snapshot(self) -> Snapshot:
        """The merged numbers of all workers."""

    @property
    def options(self) -> Options:
        """How families are named and labelled."""


class _LoneService:
    """Serves where otel_obs is switched off or has wrong settings: metrics go on, each process its own."""

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
"""Told of every service before it is used."""


def current() -> ClientService:
    """What is configured; configured now, from the environment, if nobody has done it."""
    service = _CurrentService.service
    if service is not None:
        return service
    with _CurrentService.lock:
        service = _CurrentService.service
        if service is None:
            service = _configured() or _LoneService()
            set_current(service)
        return service


def known() -> ClientService | None:
    """What is configured, if somebody has done it."""
    return _CurrentService.service


def set_current(service: ClientService | None) -> None:
    """Record to *service* from now on; None asks again at the next use."""
    _CurrentService.service = service
    if service is not None:
        for listener in listeners:
            listener(service)


def _configured() -> ClientService | None:
    # The composition root lies above this module; it is asked as an application would ask.
    root = import_module("otel_obs.assembly.setup")
    if root.Running.is_over:  # recording begins nothing anew after `shutdown`
        return None
    try:
        service: ClientService | None = root.configure()
    except Exception:
        _logger.exception("otel_obs could not be configured; metrics are those of this process alone")
        return None
    return service


arm()  # who imports this package exposes it


def _after_fork_in_child() -> None:
    _CurrentService.lock = RLock()


forks.after_in_child(_after_fork_in_child)
