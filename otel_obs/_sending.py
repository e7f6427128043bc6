"""What a process sends of its own accord, pushed metrics and spans, and that nothing is left when it ends."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable
from typing import Any

from otel_obs._exporters import EXIT_MS, at_sigterm, span_exporters
from otel_obs.errors import MissingPackageError
from otel_obs.sdk import MeterProvider
from otel_obs.settings import Settings

_logger = logging.getLogger("otel_obs")


class Sending:
    """The sending of one configured process.

    Args:
        settings: What is to be sent.
        provider: Where its metrics are, and what they describe.

    Raises:
        SettingError: An exporter is not installed.
    """

    def __init__(self, settings: Settings, provider: MeterProvider) -> None:
        self._provider = provider
        self._tracing: Any = None
        # The original instrumentations make spans as well.
        self.is_tracing = bool(settings.traces_exporters) and settings.http != "upstream"
        if settings.traces_exporters:
            from otel_obs.tracing import Tracing

            self._tracing = Tracing(span_exporters(settings), provider.resource)
            atexit.register(self.shutdown)
        at_sigterm(self._end)

    def trace_frameworks(self) -> None:
        """Have the applications of this process traced, as their frameworks are imported."""
        if not self.is_tracing:
            return
        from wrapt import register_post_import_hook

        register_post_import_hook(lambda module: self.trace_app("flask"), "flask")
        register_post_import_hook(lambda module: self.trace_app("fastapi"), "fastapi")

    def trace_app(self, framework: str, app: Any = None) -> None:
        """Have *app*, or every application made from now on, traced."""
        if not self.is_tracing:
            return
        from otel_obs import tracing

        trace: Callable[..., None] = tracing.trace_flask if framework == "flask" else tracing.trace_fastapi
        try:
            trace(app)
        except MissingPackageError as error:
            _logger.warning("%s; its requests are not traced", error)

    def shutdown(self) -> None:
        """Send the spans that are left."""
        atexit.unregister(self.shutdown)
        if self._tracing is not None:
            self._tracing.shutdown(EXIT_MS)

    def _end(self) -> None:
        if not self._provider.is_shut_down:
            self._provider.shutdown(EXIT_MS)
        self.shutdown()


def start_sending(settings: Settings, provider: MeterProvider) -> Sending | None:
    """Begin to send, where anything is to be sent by this process itself.

    Raises:
        SettingError: An exporter is not installed.
    """
    if settings.traces_exporters or not set(settings.metrics_exporters) <= {"prometheus"}:
        return Sending(settings, provider)
    return None
