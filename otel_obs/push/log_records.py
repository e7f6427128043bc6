"""Sends the log records of this process to OpenTelemetry exporters."""

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
from otel_obs.host.signals import raise_interruption

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

_logger = logging.getLogger("otel_obs")
_OWN = "opentelemetry"
"""The root of loggers that log about sending: sending their records would create further ones."""

PATIENCE_S = 2.0
"""How long a process keeps its records before it sends them, if it does not fork; see `LogBatches`."""
KEPT = 2_000
"""How many records a process keeps at most; the oldest are dropped."""

PAUSE_MS = 500
"""How long a fork waits for records that are being sent."""

_TEXTS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_SEVERITIES = ((50, 21), (40, 17), (30, 13), (20, 9), (10, 5))
"""The lower bound of each level, and OpenTelemetry's severity number for it."""


class LogSending:
    """Sends the log records of this process; the application's own handlers are not affected.

    No handler is added to a logger: `logging.basicConfig` does nothing if there is one, and `dictConfig`
    removes it. Instead, `Logger.callHandlers` is replaced, which also sees loggers that do not propagate.

    Args:
        exporters: The exporters of log records.
        resource: The resource of the records.
        is_worker: Whether this process has recorded a measurement.
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
        # Records that are emitted through OpenTelemetry's logs API go to the same exporters.
        if type(get_logger_provider()).__name__ == "ProxyLoggerProvider":
            set_logger_provider(self._provider)
        self._give_back = _take_records(self._emit)

    @property
    def resource(self) -> Resource:
        """The resource of this process's records."""
        return self._resource

    def describe(self, resource: Resource) -> None:
        """Set the resource, in a forked child."""
        self._resource = resource

    def begin(self) -> None:
        """Start sending: this process has recorded a measurement."""
        for batches in self._batches:
            batches.begin()

    def shutdown(self, timeout_ms: float) -> None:
        """Send the remaining records, and stop; a second call does nothing."""
        if self._is_over:
            return
        self._is_over = True
        self._give_back()
        for batches in self._batches:
            batches.end(timeout_ms)

    def _emit(self, record: logging.LogRecord) -> None:
        if self._is_over or getattr(self._in_use, "is_on", False) or _is_own(record.name):
            return
        # Per thread: a record that is logged while one is being translated must not recurse.
        self._in_use.is_on = True
        try:
            made = _translated(record, self._resource)
            for batches in self._batches:
                batches.on_emit(made)
        finally:
            self._in_use.is_on = False


def _is_own(name: str) -> bool:
    """Whether a record is about sending: by its logger, or as this thread is exporting."""
    return name.partition(".")[0] == _OWN or bool(get_value(_SUPPRESS_INSTRUMENTATION_KEY))


def _take_records(emit: Callable[[logging.LogRecord], None]) -> Callable[[], None]:
    """Call *emit* with every record that a logger passes to its handlers; returns the undoing."""
    before = logging.Logger.callHandlers
    taking, told = [emit], [False]

    def call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        for each in taking:
            try:
                each(record)
            except Exception as error:
                raise_interruption(error)
                if not told[0]:
                    told[0] = True
                    before(_logger, _trouble(error))
        before(self, record)

    def give_back() -> None:
        taking.clear()  # enough, if other code has replaced `callHandlers` after us
        if logging.Logger.callHandlers is call_handlers:
            logging.Logger.callHandlers = before  # type: ignore[method-assign]

    logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign]
    return give_back


def _trouble(error: Exception) -> logging.LogRecord:
    text = "a log record could not be sent; what comes is tried: %r"
    return _logger.makeRecord(_logger.name, logging.ERROR, __file__, 0, text, (error,), None)


def _translated(record: logging.LogRecord, resource: Resource) -> Any:
    """Translate a record to OpenTelemetry's form."""
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
    """The current context; where that is empty, one with an invalid span."""
    return get_current() or set_span_in_context(NonRecordingSpan(INVALID_SPAN_CONTEXT))


def _attributes(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of `extra`, the code location and the exception, by OpenTelemetry's attribute names."""
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
    """Make a processor for OpenTelemetry's logs API that replaces the resource, which a fork leaves stale."""
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
    """Sends records in batches from a thread, which the master process of a server must not have.

    A master logs, then forks workers. If a sending thread held a lock at the fork, such as that of the
    resolver, it would stay locked in the child for ever. So a process keeps its records until it measures
    something, or until `PATIENCE_S` after its start; one that has forked keeps them until its end.

    Args:
        exporter: The exporter of log records.
        is_worker: Whether this process has recorded a measurement.
    """

    def __init__(self, exporter: Any, is_worker: Callable[[], bool]) -> None:
        self._exporter, self._is_worker = exporter, is_worker
        self._is_over = False
        self._start_over()
        forks.before(self._pause)
        forks.after_in_parent(self._note_fork)
        forks.after_in_child(self._start_over)

    def _start_over(self) -> None:
        # Also in a forked child: the kept records are the parent's to send, and the lock may be held there.
        self._sender: Any = None
        self._beginning = threading.Lock()
        self._kept: deque[Any] = deque(maxlen=KEPT)
        self._first_s = time.monotonic()
        self._has_forked = False

    def on_emit(self, log_record: Any) -> None:
        """Keep or send a record."""
        if self._is_over:
            return
        forks.check()
        sender = self._sender
        if sender is not None:
            sender.on_emit(log_record)
            return
        self._kept.append(log_record)
        self._send_or_begin()

    def _send_or_begin(self) -> None:
        if self._sender is not None:  # another thread has begun since the record was kept
            self._send_kept(self._sender)
        elif self._is_worker() or time.monotonic() - self._first_s > PATIENCE_S:
            self.begin()

    def begin(self) -> None:
        """Start sending, unless this process has forked without measuring; kept records go first."""
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

        # The thread that holds the lock sends what is kept here, too. This may be a signal handler that runs
        # on that very thread, so it must not wait.
        if not self._beginning.acquire(blocking=False):
            return
        try:
            if self._sender is not None or self._is_over or (self._has_forked and not self._is_worker()):
                return
            sender = BatchLogRecordProcessor(self._exporter)
            self._send_kept(sender)
            self._sender = sender
            self._send_kept(sender)  # what was kept between the two lines above
        finally:
            self._beginning.release()

    def _send_kept(self, sender: Any) -> None:
        while True:
            try:
                record = self._kept.popleft()
            except IndexError:
                return
            sender.on_emit(record)

    def end(self, timeout_ms: float) -> None:
        """Send the remaining records within *timeout_ms*, and stop."""
        self._is_over = True
        if self._sender is not None:
            self._send_kept(self._sender)
            _shut_down(self._sender, timeout_ms)
        elif self._kept:
            self._exporter.export([_readable(record) for record in self._kept], timeout_ms / 1e3)
            self._kept.clear()

    def shutdown(self) -> None:
        """Call `end` with the SDK's default timeout."""
        self.end(30_000)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send the records of the current batch."""
        return self._sender is None or bool(self._sender.force_flush(timeout_millis))

    def _pause(self) -> None:
        """Before a fork: end the sending thread of a process that does not measure; it may hold a lock."""
        if self._sender is not None and not self._is_worker():
            sender, self._sender = self._sender, None
            _shut_down(sender, PAUSE_MS)

    def _note_fork(self) -> None:
        self._has_forked = True


def _shut_down(sender: Any, timeout_ms: float) -> None:
    # The public method waits for up to 30 s; a container is killed before that.
    inner: Any = getattr(sender, "_batch_processor", sender)
    inner.shutdown(timeout_millis=timeout_ms)


def _readable(record: Any) -> Any:
    from opentelemetry.sdk._logs import ReadableLogRecord

    return ReadableLogRecord(record.log_record, record.resource, record.instrumentation_scope, record.limits)
