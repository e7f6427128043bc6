"""Queries and connections of databases, from SQLAlchemy's events or by hand."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from time import perf_counter
from typing import Any

from otel_obs.catalog.kit.boundary import safely
from otel_obs.catalog.kit.kinds import CounterMetric, HistogramMetric, ObservableGaugeMetric
from otel_obs.catalog.kit.naming import ANY, Semconv
from otel_obs.catalog.kit.timed_run import ERROR, SUCCESS, TimedRun
from otel_obs.errors import DeclarationError
from otel_obs.host.weak import WeakObjects

__all__ = ["db_connections", "db_queries_total", "db_query_duration_seconds", "record_query"]

OTHER = "OTHER"
LOOKED_AT = 4096
"""Characters of a statement that are searched for its first word; comments may come before it."""

STARTED = "_otel_obs_started"
"""The attribute of SQLAlchemy's execution context that holds the start time of its statement."""

_OPERATIONS = frozenset(
    {"ALTER", "BEGIN", "CALL", "COMMIT", "COPY", "CREATE", "DELETE", "DROP", "EXPLAIN", "INSERT", "LOCK"}
    | {"MERGE", "PRAGMA", "REPLACE", "ROLLBACK", "SAVEPOINT", "SELECT", "SET", "SHOW", "TRUNCATE", "UPDATE"}
    | {"VACUUM", "VALUES", "WITH"}
)
_START = re.compile(r"[\s(]*")
_WORD = re.compile(r"[A-Za-z_]*")
_SEMCONV = {"operation": "db.operation.name", "system": "db.system.name", "error_type": "error.type"}
# Source: OpenTelemetry semantic conventions for database clients; other systems have SQLAlchemy's name.
_SYSTEMS = {"mssql": "microsoft.sql_server", "oracle": "oracle.db"}

db_query_duration_seconds = HistogramMetric(
    "db_query_duration_seconds",
    "Database query duration in seconds",
    unit="s",
    attributes={"operation": ANY},
    bounds=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10),
    semconv=Semconv(
        "db.client.operation.duration", _SEMCONV, "s", bounds=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
    ),
)
db_queries_total = CounterMetric(
    "db_queries_total",
    "Total database queries",
    unit="{query}",
    attributes={"operation": ANY, "status": (SUCCESS, ERROR)},
    semconv=Semconv(
        attributes={"operation": "db.operation.name", "status": "error.type"},
        count_of=db_query_duration_seconds.declaration,
    ),
)
db_connections = ObservableGaugeMetric(
    "db_connections",
    "Connections of the database pools by state",
    unit="{connection}",
    attributes={"state": ("used", "idle")},
    merge="sum",
    semconv=Semconv("db.client.connection.count", {"state": "db.client.connection.state"}, "{connection}"),
)

_engines: WeakObjects[Any] = WeakObjects()


@safely(db_queries_total)
def record_query(
    operation: str,
    status: str = SUCCESS,
    duration: float | None = None,
    error_type: str = "",
    system: str = "",
) -> None:
    """Count a query.

    Args:
        operation: Such as `SELECT`; a statement gives its first word.
        status: `success` or `error`.
        duration: Seconds that it took.
        error_type: The class of the error, for the semconv profile.
        system: Such as `postgresql`, for the semconv profile.
    """
    operation = operation_of(operation)
    db_queries_total.add(1, {"operation": operation, "status": status})
    if duration is not None:
        facts = {"operation": operation, "system": system, "error_type": error_type}
        db_query_duration_seconds.record(duration, {key: value for key, value in facts.items() if value})


class query(TimedRun):
    """Count and time one query, in a `with` or an `async with`.

    Args:
        operation: Such as `SELECT`; a statement, as text or as SQLAlchemy's, gives its first word.
        system: Such as `postgresql`, for the semconv profile.
    """

    __slots__ = ("_operation", "_system")

    def __init__(self, operation: object, system: str = "") -> None:
        super().__init__()
        self._operation, self._system = operation_of(operation), system

    def _end(self) -> None:
        error_type = self.error_type or ("_OTHER" if self.status == ERROR else "")
        record_query(self._operation, self.status, self.elapsed_s, error_type, self._system)


def operation_of(statement: object) -> str:
    """The first word of a statement if it is a known SQL command, else `OTHER`: few label values."""
    if type(statement) is str and statement in _OPERATIONS:
        return statement
    text = str(statement)[:LOOKED_AT]
    at = _START.match(text).end()  # type: ignore[union-attr]
    while text.startswith(("--", "/*"), at):
        end = "\n" if text.startswith("--", at) else "*/"
        found = text.find(end, at + 2)
        at = _START.match(text, found + len(end) if found >= 0 else len(text)).end()  # type: ignore[union-attr]
    word = _WORD.match(text, at).group().upper()  # type: ignore[union-attr]
    return word if word in _OPERATIONS else OTHER


def observe_engine(engine: Any) -> None:
    """Count and time the queries of a SQLAlchemy engine, and show its pool.

    Args:
        engine: An `Engine` or an `AsyncEngine`; one that is observed already stays as it is.

    Raises:
        DeclarationError: *engine* is not a SQLAlchemy engine.
    """
    engine = getattr(engine, "sync_engine", engine)
    # SQLAlchemy is no dependency of otel_obs; a caller that has an engine has imported it.
    sqlalchemy = sys.modules.get("sqlalchemy")
    if sqlalchemy is None or not isinstance(engine, sqlalchemy.engine.Engine):
        raise DeclarationError(
            type(engine).__name__, "is not a SQLAlchemy engine", "give what create_engine made"
        )
    if engine in _engines.living():
        return
    _engines.add(engine)
    sqlalchemy.event.listen(engine, "before_cursor_execute", _before)
    sqlalchemy.event.listen(engine, "after_cursor_execute", _after)
    sqlalchemy.event.listen(engine, "handle_error", _failed)
    db_connections.observe(_connections)


def _before(
    connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> None:
    if context is not None and not hasattr(context, STARTED):
        setattr(context, STARTED, perf_counter())


def _after(
    connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> None:
    elapsed_s = _elapsed_s(context)
    if elapsed_s is not None:
        record_query(operation_of(statement), SUCCESS, elapsed_s, system=_system_of(connection))


def _failed(error: Any) -> None:
    if error.statement is None:
        return
    context = error.execution_context
    elapsed_s = _elapsed_s(context)
    if elapsed_s is not None or context is None:
        name = type(error.original_exception).__qualname__
        system = _system_of(error.connection)
        record_query(operation_of(error.statement), ERROR, elapsed_s, name, system)


def _system_of(connection: Any) -> str:
    """The semantic convention's name of the database system of a connection."""
    name = str(connection.dialect.name) if connection is not None else ""
    return _SYSTEMS.get(name, name)


def _elapsed_s(context: Any) -> float | None:
    """The seconds of a query; None where it is counted already: engines may share their listeners."""
    started = getattr(context, STARTED, None)
    if started is None:
        return None
    delattr(context, STARTED)
    return perf_counter() - float(started)


def _connections() -> Iterable[tuple[float, dict[str, str]]]:
    """Over all engines, how many connections are in use and how many are idle in a pool."""
    pools = {id(engine.pool): engine.pool for engine in _engines.living()}.values()  # engines may share one
    counted = [pool for pool in pools if hasattr(pool, "checkedout") and hasattr(pool, "checkedin")]
    if counted:
        yield sum(pool.checkedout() for pool in counted), {"state": "used"}
        yield sum(pool.checkedin() for pool in counted), {"state": "idle"}
