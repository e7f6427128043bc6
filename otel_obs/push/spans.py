"""The spans of this process: what makes them, and where they go."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import ProxyTracerProvider

from otel_obs.host import forks

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

_logger = logging.getLogger("otel_obs")


class Tracing:
    """The spans of this process: what makes them, and where they go.

    Args:
        exporters: Where spans go.
        resource: What they describe.
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
        """Say what the spans of this process describe, in a child that has been forked."""
        # A thread of the parent may have held the SDK's lock; what the SDK does about that, it does later.
        self._provider._tracers_lock = threading.Lock()
        _describe(self._provider, resource)

    def shutdown(self, timeout_ms: int) -> None:
        """Send what there is, and stop, once."""
        if self._is_shut_down:
            return
        self._is_shut_down = True
        self._unname()
        for batches in self._batches:
            batches.shutdown(timeout_ms)


_made: list[Any] = []
"""The tracer provider of ours, once there is one. It is the global one for good: tracers keep to it."""


def _provider(resource: Resource) -> Any:
    if not _made:
        _made.append(_make_provider(resource))
    _describe(_made[0], resource)
    return _made[0]


def _make_provider(resource: Resource) -> Any:
    from opentelemetry.sdk.trace import TracerProvider

    class LoyalTracerProvider(TracerProvider):
        """Describes, after a fork, what it was told to describe.

        The SDK gives each child a random instance. Python calls hooks of forks in the order of their
        registration, and the SDK's comes after our only one: it has the last word, and is answered here.
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
        """Sends spans in batches, from a thread that a process has from its first span on.

        The first process of a server with workers has no spans, and forks without a thread.
        """

        def __init__(self) -> None:
            self._by_process: dict[int, BatchSpanProcessor] = {}
            self._is_over = False

        def on_end(self, span: Any) -> None:
            if self._is_over:
                return
            forks.check()
            pid = os.getpid()
            found = self._by_process.get(pid)
            if found is None:
                found = self._by_process.setdefault(pid, BatchSpanProcessor(exporter))
            found.on_end(span)

        def shutdown(self, timeout_ms: int = 30_000) -> None:
            self._is_over = True
            found = self._by_process.get(os.getpid())
            if found is not None:
                # The public method waits for half a minute, in which a container is killed.
                inner: Any = getattr(found, "_batch_processor", found)
                inner.shutdown(timeout_millis=timeout_ms)

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            found = self._by_process.get(os.getpid())
            return found is None or found.force_flush(timeout_millis)

    return Batches()


def _name_spans_in_logs(service_name: str) -> Callable[[], None]:
    """Give every log record the attributes that OpenTelemetry's instrumentation of logging gives it."""
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
