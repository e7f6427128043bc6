"""Log records as JSON: one line each, with the ids of the current trace and span.

Only the standard library's `logging` and the OpenTelemetry API are imported here. To send records to a
collector, no code is needed: set `OTEL_LOGS_EXPORTER=otlp`.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, TextIO

from opentelemetry import trace

from otel_obs.host.signals import raise_interruption

Fields = dict[str, Any]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OURS = {"otelTraceID": "trace_id", "otelSpanID": "span_id", "otelServiceName": "service"}
_NOWHERE = frozenset(["otelTraceSampled"])
_DEPTH = 8
"""How deep a value of `extra` is converted; deeper values, as in a cycle, become text."""


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON.

    `timestamp` (UTC, ISO 8601, microseconds), `level`, `logger` and `message` are always there; `trace_id`
    (32 hexadecimal digits) and `span_id` (16) where the record was made in a span; `service` where it is
    known; `exception` and `stack` where there are some; and the fields of `extra`, under their own names.

    Args:
        service: The service's name, for records that do not have it.
    """

    def __init__(self, service: str = "") -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without a newline."""
        fields: Fields = {
            "timestamp": _time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": message_of(record),
            **trace_of(record),
        }
        service = getattr(record, "otelServiceName", "") or self._service
        if service:
            fields["service"] = service
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            fields["exception"] = record.exc_text
        if record.stack_info:
            fields["stack"] = record.stack_info
        for name, value in extras_of(record):
            # A name that is taken by one of the fields above gets an underscore.
            fields[f"{name}_" if name in fields else name] = value
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False)
        # A lone surrogate cannot be encoded as UTF-8; then write ASCII with escapes.
        return text if text.isprintable() or _can_be_written(text) else json.dumps(fields)


def write_json_lines(
    stream: TextIO | None = None,
    level: int | str = logging.INFO,
    logger: logging.Logger | None = None,
    service: str = "",
) -> logging.Handler:
    """Write a logger's records as JSON lines, in place of its present handlers.

    Args:
        stream: The stream to write to; by default standard error, which Docker, Kubernetes and systemd keep.
        level: The lowest level that is logged.
        logger: The logger; by default the root logger, which gets the records of all others.
        service: The service's name, for records that do not have it.

    Returns:
        The handler that was added; the earlier handlers are removed.

    Raises:
        ValueError: There is no such level.
    """
    chosen = logger or logging.getLogger()
    chosen.setLevel(level)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(service))
    for present in list(chosen.handlers):
        chosen.removeHandler(present)
    chosen.addHandler(handler)
    return handler


def message_of(record: logging.LogRecord) -> str:
    """A record's text; if its arguments do not fit the template, both as they are."""
    try:
        return record.getMessage()
    except Exception as error:
        raise_interruption(error)
        return f"{as_text(record.msg)} {as_text(record.args)}"


def trace_of(record: logging.LogRecord) -> Fields:
    """The ids of the span in which a record was made; empty outside of one.

    If spans are sent, the ids are fields of the record, so that another thread can format it. Otherwise they
    are those of the current span.
    """
    noted = {_OURS[name]: value for name, value in vars(record).items() if name in _OURS}
    if noted.get("trace_id", "0") not in ("0", ""):
        return {name: noted[name] for name in ("trace_id", "span_id")}
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }


def extras_of(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    """The fields that the application gave as `extra`, as values that JSON and OTLP can hold."""
    for name, value in vars(record).items():
        if name not in _STANDARD and name not in _OURS and name not in _NOWHERE:
            yield name, plain(value)


def plain(value: Any, depth: int = _DEPTH) -> Any:
    """Convert a value to types of JSON; a value of any other type becomes its text."""
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else str(value)
    if depth and isinstance(value, Mapping):
        return {str(key): plain(each, depth - 1) for key, each in _copied(value.items())}
    if depth and isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each, depth - 1) for each in _copied(value)]
    return as_text(value)


def _copied(values: Any) -> list[Any]:
    """Copy a collection, which another thread may change; empty if it cannot be read."""
    try:
        return list(values)
    except Exception as error:
        raise_interruption(error)
        return []


def as_text(value: Any) -> str:
    """A value's text; a placeholder if its `__str__` raises."""
    try:
        return str(value)
    except Exception as error:
        raise_interruption(error)
        return f"<{type(value).__name__} without a text>"


def _time(created_s: float) -> str:
    moment = datetime.fromtimestamp(created_s, timezone.utc)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _can_be_written(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
