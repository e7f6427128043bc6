"""Makes the spans of this process, and sends them to exporters."""

from __future__ import annotations

import logging
import os
import threading
from _thread import RLock
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import ProxyTracerProvider

from otel_obs.host import forks

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

_logger = logging.getLogger("otel_obs")


class SpanSending:
    """The tracer provider of this process, and the sending of its spans.

    Args:
        exporters: The exporters of spans.
        resource: The resource of the spans.
    """

    def __init__(self, exporters: Sequence[Any], resource: Resource) -> None:
        self._provider = _provider(resource)
        self._batches = [_batches(exporter) for exporter in exporters]
        for batches in self._batches:
            self._provider.add_span_processor(batches)
        self._unname = _name_spans_in_logs(str(resource.attributes.get("service.name", "")))
        self._is_shut_down = False
        if isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
            trace.set_tracer_provider(self._provider)
        if trace.get_tracer_provider() is not self._provider:
            _logger.warning(
                "the application has set a tracer provider of its own: spans go where that sends them"
            )

    def describe(self, resource: Resource) -> None:
        """Set the resource, in a forked child."""
        # Another thread of the parent may have held the SDK's lock. The SDK's own fork hook runs after this.
        self._provider._tracers_lock = threading.Lock()
        _describe(self._provider, resource)

    def shutdown(self, timeout_ms: int) -> None:
        """Send the remaining spans, and stop; a second call does nothing."""
        if self._is_shut_down:
            return
        self._is_shut_down = True
        self._unname()
        for batches in self._batches:
            batches.shutdown(timeout_ms)


_made: list[Any] = []
"""Our tracer provider, once it is made. It is kept for the next set-up: the global provider can be set only
once, and tracers keep a reference to it."""


def _provider(resource: Resource) -> Any:
    if not _made:
        _made.append(_make_provider(resource))
    _describe(_made[0], resource)
    return _made[0]


def _make_provider(resource: Resource) -> Any:
    from opentelemetry.sdk.trace import TracerProvider

    class LoyalTracerProvider(TracerProvider):
        """Keeps its resource after a fork.

        The SDK's fork hook gives each child a random instance id. Python calls fork hooks in the order of
        registration, and the SDK's is registered after ours. So the resource is restored after the SDK's.
        """

        def _handle_fork(self) -> None:
            told = self.resource
            super()._handle_fork()
            _describe(self, told)

    return LoyalTracerProvider(resource=resource, shutdown_on_exit=False)


def _describe(provider: Any, resource: Resource) -> None:
    update = getattr(provider, "_update_resource", None)
    if update is not None:
        update(resource)


def _batches(exporter: Any) -> Any:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class Batches(SpanProcessor):
        """Sends spans in batches from a thread, which a process starts at its first span.

        The master process of a server makes no spans, so that it forks without that thread.
        """

        def __init__(self) -> None:
            self._by_process: dict[int, BatchSpanProcessor] = {}
            self._locks: dict[int, RLock] = {}
            self._is_over = False

        def on_end(self, span: Any) -> None:
            if self._is_over:
                return
            forks.check()
            pid = os.getpid()
            # By process: the processor of the parent has no thread in a child, and may have a held lock.
            found = self._by_process.get(pid)
            if found is None:
                found = self._begin(pid)
            found.on_end(span)

        def _begin(self, pid: int) -> BatchSpanProcessor:
            # A lock for each process: another thread of the parent may have held the parent's at the fork.
            with self._locks.setdefault(pid, RLock()):
                found = self._by_process.get(pid)
                return found or self._by_process.setdefault(pid, BatchSpanProcessor(exporter))

        def shutdown(self, timeout_ms: int = 30_000) -> None:
            self._is_over = True
            found = self._by_process.get(os.getpid())
            if found is not None:
                # The public method waits for up to 30 s; a container is killed before that.
                inner: Any = getattr(found, "_batch_processor", found)
                inner.shutdown(timeout_millis=timeout_ms)

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            found = self._by_process.get(os.getpid())
            return found is None or found.force_flush(timeout_millis)

    return Batches()


def _name_spans_in_logs(service_name: str) -> Callable[[], None]:
    """Add to every log record the attributes that OpenTelemetry's logging instrumentation adds."""
    before = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        context = trace.get_current_span().get_span_context()
        record.otelTraceID = trace.format_trace_id(context.trace_id) if context.is_valid else "0"
        record.otelSpanID = trace.format_span_id(context.span_id) if context.is_valid else "0"
        record.otelTraceSampled = context.trace_flags.sampled
        record.otelServiceName = service_name
        return record

    def undo() -> None:
        if logging.getLogRecordFactory() is factory:
            logging.setLogRecordFactory(before)

    logging.setLogRecordFactory(factory)
    return undo
