"""The log records of this process: what takes them, and where they go."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_current, get_value
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, set_span_in_context

from otel_obs import logs
from otel_obs.host import forks

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

_logger = logging.getLogger("otel_obs")
_OWN = "opentelemetry"
"""Loggers that speak of the sending itself: to send that would make more of it."""

PATIENCE_S = 2.0
KEPT = 2_000
"""How many records a first process keeps, the latest."""

PAUSE_MS = 500
"""How long a fork may wait for what is being sent."""

_TEXTS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_SEVERITIES = ((50, 21), (40, 17), (30, 13), (20, 9), (10, 5))
"""The least level, and OpenTelemetry's number for it."""


class LogSending:
    """Sends what is logged in this process, beside what the application does with it.

    No handler is added to a logger: `logging.basicConfig` does nothing where there is one, and `dictConfig`
    removes it. Records are taken where they are given to handlers, so those of loggers that do not propagate
    are among them.

    Args:
        exporters: Where records go.
        resource: What they describe.
        is_worker: Whether this process measures something.
    """

    def __init__(self, exporters: Sequence[Any], resource: Resource, is_worker: Callable[[], bool]) -> None:
        from opentelemetry._logs import get_logger_provider, set_logger_provider
        from opentelemetry.sdk._logs import LoggerProvider

        self._resource = resource
        self._batches = [LogBatches(exporter, is_worker) for exporter in exporters]
        self._in_use = threading.local()
        self._is_over = False
        self._provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        for batches in self._batches:
            self._provider.add_log_record_processor(_described(batches, self))
        # What is emitted through OpenTelemetry's own interface goes the same way.
        if type(get_logger_provider()).__name__ == "ProxyLoggerProvider":
            set_logger_provider(self._provider)
        self._give_back = _take_records(self._emit)

    @property
    def resource(self) -> Resource:
        """What the records of this process describe."""
        return self._resource

    def describe(self, resource: Resource) -> None:
        """Say what the records of this process describe, in a child that has been forked."""
        self._resource = resource

    def begin(self) -> None:
        """Send from now on: this process measures something."""
        for batches in self._batches:
            batches.begin()

    def shutdown(self, timeout_ms: float) -> None:
        """Send what there is, and stop, once."""
        if self._is_over:
            return
        self._is_over = True
        self._give_back()
        for batches in self._batches:
            batches.end(timeout_ms)

    def _emit(self, record: logging.LogRecord) -> None:
        if self._is_over or getattr(self._in_use, "is_on", False) or _is_own(record.name):
            return
        self._in_use.is_on = True
        try:
            made = _translated(record, self._resource)
            for batches in self._batches:
                batches.on_emit(made)
        finally:
            self._in_use.is_on = False


def _is_own(name: str) -> bool:
    """Whether a record is of the sending: by its logger, or made while something is sent."""
    return name.partition(".")[0] == _OWN or bool(get_value(_SUPPRESS_INSTRUMENTATION_KEY))


def _take_records(emit: Callable[[logging.LogRecord], None]) -> Callable[[], None]:
    """Have *emit* called with every record that a logger gives to its handlers; the result takes it back."""
    before = logging.Logger.callHandlers
    taking, told = [emit], [False]

    def call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        for each in taking:
            try:
                each(record)
            except Exception as error:
                if not told[0]:
                    told[0] = True
                    before(_logger, _trouble(error))
        before(self, record)

    def give_back() -> None:
        taking.clear()
        if logging.Logger.callHandlers is call_handlers:
            logging.Logger.callHandlers = before  # type: ignore[method-assign]

    logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign]
    return give_back


def _trouble(error: Exception) -> logging.LogRecord:
    text = "a log record could not be sent; what comes is tried: %r"
    return _logger.makeRecord(_logger.name, logging.ERROR, __file__, 0, text, (error,), None)


def _translated(record: logging.LogRecord, resource: Resource) -> Any:
    """A record in OpenTelemetry's form."""
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    number = next((severity for level, severity in _SEVERITIES if record.levelno >= level), 1)
    made = LogRecord(
        timestamp=int(record.created * 1e9),
        observed_timestamp=time.time_ns(),
        context=_context(),
        severity_text=_TEXTS.get(record.levelname, record.levelname),
        severity_number=SeverityNumber(number),
        body=logs.message_of(record),
        attributes=_attributes(record),
    )
    return ReadWriteLogRecord(made, resource, InstrumentationScope(record.name))


def _context() -> Any:
    """The current context; outside of a span, one that says so."""
    return get_current() or set_span_in_context(NonRecordingSpan(INVALID_SPAN_CONTEXT))


def _attributes(record: logging.LogRecord) -> dict[str, Any]:
    """What `extra` holds, where the record was made, and what was raised; names are OpenTelemetry's."""
    found: dict[str, Any] = dict(logs.extras_of(record))
    found |= {
        "code.file.path": record.pathname,
        "code.function.name": record.funcName,
        "code.line.number": record.lineno,
        "process.pid": record.process,
    }
    kind, error, _ = record.exc_info or (None, None, None)
    if kind is not None:
        found["exception.type"] = kind.__qualname__
        found["exception.message"] = logs.as_text(error)
        found["exception.stacktrace"] = "".join(traceback.format_exception(*record.exc_info))  # type: ignore[misc]
    return {name: value for name, value in found.items() if value is not None}


def _described(batches: LogBatches, sending: LogSending) -> Any:
    """What takes records of OpenTelemetry's own interface, which has the resource of before a fork."""
    from opentelemetry.sdk._logs import LogRecordProcessor

    class Described(LogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            log_record.resource = sending.resource
            batches.on_emit(log_record)

        def shutdown(self) -> None:
            batches.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return batches.force_flush(timeout_millis)

    return Described()


class LogBatches:
    """Sends records in batches, from a thread that a process has once it is known to be no first process.

    The first process of a server logs, and forks workers: a thread of its own may hold locks, such as that of
    the resolver, which nobody releases in the child. So a process keeps what it logs until it measures
    something, or has logged for `PATIENCE_S` without a fork; one that forks keeps it until its end.

    Args:
        exporter: Where records go.
        is_worker: Whether this process measures something.
    """

    def __init__(self, exporter: Any, is_worker: Callable[[], bool]) -> None:
        self._exporter, self._is_worker = exporter, is_worker
        self._is_over = False
        self._start_over()
        forks.before(self._pause)
        forks.after_in_parent(self._note_fork)
        forks.after_in_child(self._start_over)

    def _start_over(self) -> None:
        self._sender: Any = None
        self._beginning = threading.Lock()
        self._kept: deque[Any] = deque(maxlen=KEPT)
        self._first_s = time.monotonic()
        self._has_forked = False

    def on_emit(self, log_record: Any) -> None:
        """Take a record."""
        if self._is_over:
            return
        forks.check()
        if self._sender is None:
            self._kept.append(log_record)
            if self._is_worker() or time.monotonic() - self._first_s > PATIENCE_S:
                self.begin()
            return
        self._sender.on_emit(log_record)

    def begin(self) -> None:
        """Send from now on, if this is no first process of others; what was kept goes first."""
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

        with self._beginning:
            if self._sender is not None or self._is_over or (self._has_forked and not self._is_worker()):
                return
            sender = BatchLogRecordProcessor(self._exporter)
            while self._kept:
                sender.on_emit(self._kept.popleft())
            self._sender = sender

    def end(self, timeout_ms: float) -> None:
        """Send what there is within that time, and stop."""
        self._is_over = True
        if self._sender is not None:
            _shut_down(self._sender, timeout_ms)
        elif self._kept:
            self._exporter.export([_readable(record) for record in self._kept], timeout_ms / 1e3)
            self._kept.clear()

    def shutdown(self) -> None:
        """As `end`, with the SDK's patience."""
        self.end(30_000)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what there is."""
        return self._sender is None or bool(self._sender.force_flush(timeout_millis))

    def _pause(self) -> None:
        """Before a fork: have no thread in the first process of others, which may hold a lock now."""
        if self._sender is not None and not self._is_worker():
            sender, self._sender = self._sender, None
            _shut_down(sender, PAUSE_MS)

    def _note_fork(self) -> None:
        self._has_forked = True


def _shut_down(sender: Any, timeout_ms: float) -> None:
    # The public method waits for half a minute, in which a container is killed.
    inner: Any = getattr(sender, "_batch_processor", sender)
    inner.shutdown(timeout_millis=timeout_ms)


def _readable(record: Any) -> Any:
    from opentelemetry.sdk._logs import ReadableLogRecord

    return ReadableLogRecord(record.log_record, record.resource, record.instrumentation_scope, record.limits)
