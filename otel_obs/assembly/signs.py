"""A sign of life: one line of a service that says where its metrics are served, and of how many workers."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from otel_obs.assembly.pipeline import Pipeline
from otel_obs.cells.membership import Service
from otel_obs.errors import NotSharedError, metrics_are_served
from otel_obs.serving.address import listening

_logger = logging.getLogger("otel_obs")


class SignOfLife:
    """Says it, once for each service.

    Args:
        pipeline: What is served.
        service: Knows whether another worker has said it.
    """

    def __init__(self, pipeline: Pipeline, service: Service) -> None:
        self._pipeline, self._service = pipeline, service

    def say_for_server(self, address: str) -> None:
        """Metrics have an address of their own."""
        self._say([address])

    def say_for_application(self) -> None:
        """They are on the application's port, as far as that can be known."""
        self._say(listening())

    def _say(self, addresses: Sequence[str]) -> None:
        if not _logger.isEnabledFor(logging.INFO) or not self._service.claims("served"):
            return
        try:
            workers = self._pipeline.count_workers()
        except NotSharedError:
            return  # each scrape says so
        path = self._pipeline.settings.metrics_path
        is_tls = self._pipeline.settings.tls_files is not None
        _logger.info("%s", metrics_are_served(path, addresses, workers, is_tls))
