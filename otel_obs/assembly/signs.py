"""The start-up line: where a service serves its metrics, and for how many workers. Logged once a service."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from otel_obs.assembly.pipeline import Pipeline
from otel_obs.cells.membership import Service
from otel_obs.errors import NotSharedError, metrics_are_served
from otel_obs.serving.address import listening

_logger = logging.getLogger("otel_obs")


class SignOfLife:
    """Logs the line, unless another worker of the service has.

    Args:
        pipeline: The pipeline that is served.
        service: Decides which worker logs.
    """

    def __init__(self, pipeline: Pipeline, service: Service) -> None:
        self._pipeline, self._service = pipeline, service

    def say_for_server(self, address: str) -> None:
        """Log the address of the metrics' own server."""
        self._say([address])

    def say_for_application(self) -> None:
        """Log the addresses that this process listens on, as far as they can be found out."""
        self._say(listening())

    def _say(self, addresses: Sequence[str]) -> None:
        if not _logger.isEnabledFor(logging.INFO) or not self._service.claims("served"):
            return
        try:
            workers = self._pipeline.count_workers()
        except NotSharedError:
            return  # each scrape reports this itself
        path = self._pipeline.settings.metrics_path
        is_tls = self._pipeline.settings.tls_files is not None
        _logger.info("%s", metrics_are_served(path, addresses, workers, is_tls))
