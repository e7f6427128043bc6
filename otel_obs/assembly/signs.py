"""The start-up line: where a service serves its metrics, and for how many workers. Logged once a service."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence

from otel_obs.assembly.pipeline import Pipeline
from otel_obs.cells.membership import Service
from otel_obs.errors import NotSharedError, metrics_are_served
from otel_obs.frameworks.accepting import descriptors_of_server
from otel_obs.frameworks.servers import SERVERS
from otel_obs.host import proc
from otel_obs.host.heard import heard_logger
from otel_obs.serving.address import listening

_WAITS = 2
"""How many times the line is put off while this process does not listen: each is a period of its thread."""


class SignOfLife:
    """Logs the line, unless another worker of the service has.

    Args:
        pipeline: The pipeline that is served.
        service: Decides which worker logs.
    """

    def __init__(self, pipeline: Pipeline, service: Service) -> None:
        self._pipeline, self._service = pipeline, service
        self._of_server: Sequence[str] = ()
        self._is_said = False
        self._waits = _WAITS

    def say_for_server(self, address: str) -> None:
        """Log the address of the metrics' own server: now, or later, where no logger shows the line yet."""
        self._of_server = [address]
        self._say(lambda: self._of_server)

    def say_after_start(self) -> bool:
        """Log the line of the metrics' own server, if this process has it; whether that is over."""
        return not self._of_server or self._say(lambda: self._of_server)

    def say_for_application(self) -> bool:
        """Log the addresses that this process listens on, as far as they can be known; whether it is over.

        It is not over while no logger shows the line, since a server may set up its loggers late, nor, for a
        limited time, while the server does not listen: some workers import the application first.
        """
        self._waits -= 1
        if self._waits >= 0 and _has_server() and not _application_addresses():
            return False
        return self._say(_application_addresses)

    def _say(self, addresses: Callable[[], Sequence[str]]) -> bool:
        logger = heard_logger(logging.INFO)
        if logger is None:
            return False
        if self._is_said or not self._service.claims("served"):
            return True
        self._is_said = True
        try:
            workers = self._pipeline.count_workers()
        except NotSharedError:
            return True  # each scrape reports this itself
        path = self._pipeline.settings.metrics_path
        is_tls = self._pipeline.settings.tls_files is not None
        logger.log(logging.INFO, "%s", metrics_are_served(path, addresses(), workers, is_tls))
        return True


def _application_addresses() -> list[str]:
    return listening(descriptors_of_server(), proc.sockets_of(os.getppid()) or ())


def _has_server() -> bool:
    return any(server.module in sys.modules for server in SERVERS)
