"""Pushes metrics, spans and log records, and flushes all of them when the process ends."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from otel_obs.errors import MissingPackageError
from otel_obs.frameworks.known import FRAMEWORKS, Tracer, framework_of
from otel_obs.host import forks
from otel_obs.host.endings import at_exit, hand_on, is_free
from otel_obs.host.imports import when_imported
from otel_obs.host.signals import raise_interruption
from otel_obs.push.exporters import MayLog, log_exporters, span_exporters
from otel_obs.push.reader import EXIT_MS, begin_last_pushes
from otel_obs.sdk import MeterProvider
from otel_obs.settings import Settings

_logger = logging.getLogger("otel_obs")

UndoLater = Callable[[], object]


class Sending:
    """All that one configured process pushes.

    Args:
        settings: The exporters to use.
        provider: The meter provider, with the resource.
        undo_later: Called with the undoing of each part.
        claims: Whether this worker is to log a message that all workers would log.
    """

    def __init__(
        self,
        settings: Settings,
        provider: MeterProvider,
        undo_later: Callable[[UndoLater], object],
        claims: MayLog,
    ) -> None:
        self._provider, self._undo_later = provider, undo_later
        self._tracing: Any = None
        # Detected now, for this process and its children: the SDK runs detectors on threads, which a process
        # that is ending can no longer start.
        resource = provider.resource
        if settings.traces_exporters:
            self._tracing = _tracing(settings, resource, claims)
        self._logs = _log_sending(settings, provider, claims) if settings.logs_exporters else None
        if self._tracing is not None or self._logs is not None:
            undo_later(forks.after_in_child(self._describe))
        # With `upstream`, OpenTelemetry's own instrumentations make the spans of requests.
        self._traces_requests = self._tracing is not None and settings.http != "upstream"
        self._clients: list[tuple[str, Callable[..., None]]] = []
        self._is_loading = False
        undo_later(self._shut_down)
        self._forget_exit = at_exit(self._end)
        undo_later(flush_at_sigterm(self._end))

    def trace_frameworks(self) -> None:
        """Trace all applications of this process, from the import of their frameworks on."""
        if self._traces_requests:
            for framework in FRAMEWORKS:
                if framework.tracer is not None:
                    self._trace_when_imported(framework.tracer)

    def _trace_when_imported(self, tracer: Tracer) -> None:
        self._undo_later(when_imported(tracer.imported, lambda _: self._trace(tracer)))

    def trace_client(self, module: str, load: Callable[..., None]) -> None:
        """Have *load* instrument an HTTP client once its module is imported, without metrics."""
        if self._traces_requests:

            def instrument(_: object) -> None:
                self._clients.append((module, load))
                if not self._is_loading:
                    self._load_clients()

            self._undo_later(when_imported(module, instrument))

    def _load_clients(self) -> None:
        """Load all waiting instrumentations, in a loop: loading one may import the client of another."""
        from opentelemetry.metrics import NoOpMeterProvider

        self._is_loading = True
        try:
            while self._clients:
                module, load = self._clients.pop()
                try:
                    load(meter_provider=NoOpMeterProvider())
                except Exception as error:
                    raise_interruption(error)
                    _logger.warning("requests that are sent with %s are not traced: %r", module, error)
        finally:  # a signal handler may raise in the middle
            self._is_loading = False

    def trace(self, app: object) -> None:
        """Trace one application, if the instrumentation of its framework can do that."""
        framework = framework_of(app)
        if self._traces_requests and framework is not None and framework.tracer is not None:
            self._trace(framework.tracer, app)

    def _trace(self, tracer: Tracer, app: object = None) -> None:
        from otel_obs.tracing import trace_requests

        try:
            self._undo_later(trace_requests(tracer, app))
        except MissingPackageError as error:
            # An instrumentation that no extra installs is rarely there, and its framework may be imported
            # as a library only.
            level = logging.WARNING if tracer.extra else logging.INFO
            _logger.log(level, "%s; requests are not traced", error)

    def _describe(self) -> None:
        """Give the spans and log records of a forked child the resource of its metrics."""
        if self._tracing is not None:
            self._tracing.describe(self._provider.resource)
        if self._logs is not None:
            self._logs.describe(self._provider.resource)

    def _shut_down(self) -> None:
        """Send the remaining spans and log records; the provider's own undoing pushes the metrics."""
        self._forget_exit()
        self._end_batches()

    def _end_batches(self) -> None:
        deadline_s = time.monotonic() + EXIT_MS / 1e3
        for sending in (self._tracing, self._logs):
            if sending is not None:
                sending.shutdown(max(1e3 * (deadline_s - time.monotonic()), 100))

    def _end(self) -> None:
        """Send all that remains, metrics concurrently with the rest, within `EXIT_MS` in total."""
        deadline_s = time.monotonic() + EXIT_MS / 1e3
        begin_last_pushes()
        self._end_batches()
        if not self._provider.is_shut_down:
            self._provider.shutdown(max(1e3 * (deadline_s - time.monotonic()), 100))


def _log_sending(settings: Settings, provider: MeterProvider, claims: MayLog) -> Any:
    from otel_obs.push.log_records import LogSending

    exporters = log_exporters(settings, claims)
    if not exporters:
        return None
    worker: Any = provider.worker
    sending = LogSending(exporters, provider.resource, lambda: worker.opened is not None)
    worker.on_open.append(sending.begin)
    return sending


def _tracing(settings: Settings, resource: Any, claims: MayLog) -> Any:
    from otel_obs.push.spans import SpanSending

    exporters = span_exporters(settings, claims)
    return SpanSending(exporters, resource) if exporters else None


def flush_at_sigterm(flush: Callable[[], None]) -> Callable[[], None]:
    """Call *flush* when SIGTERM ends the process, since the default action runs no exit handlers.

    Servers replace this handler by their own. Uvicorn restores it when it has stopped, and raises the signal
    again. A handler that the application has set already is left alone.

    Returns:
        Restores the previous handler; if ours has been replaced, only makes it do nothing.
    """
    flushes, present = [flush], signal.getsignal(signal.SIGTERM)

    def end(number: int, frame: FrameType | None) -> None:
        try:
            for each in flushes:
                each()
        finally:
            hand_on(number, frame, present)

    def take_back() -> None:
        flushes.clear()
        if _is_main_thread() and signal.getsignal(signal.SIGTERM) is end:
            signal.signal(signal.SIGTERM, present)

    if _is_main_thread() and is_free(present):
        signal.signal(signal.SIGTERM, end)
    return take_back


def _is_main_thread() -> bool:
    """Whether this thread may set signal handlers, which Python allows the main thread only."""
    return threading.current_thread() is threading.main_thread()
