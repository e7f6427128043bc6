from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool, StaticPool

from otel_obs.catalog import database, db_connections, record_query
from otel_obs.catalog.kit.naming import Naming
from otel_obs.errors import DeclarationError
from tests.catalog.conftest import Service


@pytest.fixture
def engine() -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine("sqlite://", poolclass=QueuePool)
    yield engine
    engine.dispose()
    database._engines.discard(engine)


def counts(service: Service) -> list[str]:
    return [line for line in service.samples("db_quer") if "_sum" not in line]


def test_queries_of_an_engine_are_counted_and_timed(service: Service, engine: sqlalchemy.Engine) -> None:
    database.observe_engine(engine)
    database.observe_engine(engine)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create table items (id integer)"))
        connection.execute(sqlalchemy.text("insert into items values (1), (2)"))
        for _ in range(3):
            connection.execute(sqlalchemy.text("select * from items")).all()
    assert counts(service) == [
        'db_queries_total{operation="CREATE",status="success"} 1.0',
        'db_queries_total{operation="INSERT",status="success"} 1.0',
        'db_queries_total{operation="SELECT",status="success"} 3.0',
        'db_query_duration_seconds_count{operation="CREATE"} 1.0',
        'db_query_duration_seconds_count{operation="INSERT"} 1.0',
        'db_query_duration_seconds_count{operation="SELECT"} 3.0',
    ]


def test_a_query_that_fails_is_an_error(service: Service, engine: sqlalchemy.Engine) -> None:
    database.observe_engine(engine)
    with engine.connect() as connection, pytest.raises(sqlalchemy.exc.OperationalError):
        connection.execute(sqlalchemy.text("select * from nothing"))
    assert counts(service) == [
        'db_queries_total{operation="SELECT",status="error"} 1.0',
        'db_query_duration_seconds_count{operation="SELECT"} 1.0',
    ]


def test_the_pool_is_shown_by_state(service: Service, engine: sqlalchemy.Engine) -> None:
    database.observe_engine(engine)
    first, second = engine.connect(), engine.connect()
    second.close()
    db_connections.refresh()
    assert service.samples("db_connections") == [
        'db_connections{state="used"} 1.0',
        'db_connections{state="idle"} 1.0',
    ]
    first.close()
    db_connections.refresh()
    assert service.samples("db_connections") == [
        'db_connections{state="used"} 0.0',
        'db_connections{state="idle"} 2.0',
    ]


def test_a_pool_without_states_shows_none(service: Service) -> None:
    engine = sqlalchemy.create_engine("sqlite://", poolclass=StaticPool)
    database.observe_engine(engine)
    db_connections.refresh()
    assert service.samples("db_connections") == []
    engine.dispose()


def test_engines_that_share_a_pool_and_events_count_once(service: Service, engine: sqlalchemy.Engine) -> None:
    other = engine.execution_options(isolation_level="AUTOCOMMIT")
    for each in engine, other:
        database.observe_engine(each)
    with other.connect() as connection:
        connection.execute(sqlalchemy.text("select 1"))
        with pytest.raises(sqlalchemy.exc.OperationalError):
            connection.execute(sqlalchemy.text("delete from nothing"))
        db_connections.refresh()
        assert service.samples("db_connections") == [
            'db_connections{state="used"} 1.0',
            'db_connections{state="idle"} 0.0',
        ]
    assert service.samples("db_queries") == [
        'db_queries_total{operation="SELECT",status="success"} 1.0',
        'db_queries_total{operation="DELETE",status="error"} 1.0',
    ]


def test_a_pool_that_overflows_and_one_that_is_disposed_show_it(service: Service) -> None:
    engine = sqlalchemy.create_engine("sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=2)
    database.observe_engine(engine)

    def shown() -> list[str]:
        db_connections.refresh()
        return [line.split()[1] for line in service.samples("db_connections")]

    connections = [engine.connect() for _ in range(3)]
    assert shown() == ["3.0", "0.0"]
    for connection in connections:
        connection.close()
    assert shown() == ["0.0", "1.0"]
    engine.dispose()
    assert shown() == ["0.0", "0.0"]
    with engine.connect():
        assert shown() == ["1.0", "0.0"]
    database._engines.discard(engine)


def test_an_async_engine_is_observed_as_its_sync_one_is(service: Service, tmp_path: Path) -> None:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{tmp_path / 'items.db'}", poolclass=AsyncAdaptedQueuePool
    )
    database.observe_engine(engine)
    database.observe_engine(engine.sync_engine)

    async def run() -> None:
        async with engine.connect() as connection:
            rows = await connection.stream(sqlalchemy.text("select 1 union select 2"))
            assert [row[0] async for row in rows] == [1, 2]
            db_connections.refresh()
        with pytest.raises(sqlalchemy.exc.OperationalError):
            async with engine.connect() as connection:
                await connection.execute(sqlalchemy.text("delete from nothing"))
        await engine.dispose()

    asyncio.run(run())
    assert service.samples("db_connections") == [
        'db_connections{state="used"} 1.0',
        'db_connections{state="idle"} 0.0',
    ]
    assert counts(service) == [
        'db_queries_total{operation="SELECT",status="success"} 1.0',
        'db_queries_total{operation="DELETE",status="error"} 1.0',
        'db_query_duration_seconds_count{operation="SELECT"} 1.0',
        'db_query_duration_seconds_count{operation="DELETE"} 1.0',
    ]


def test_an_engine_that_is_no_more_is_not_kept(service: Service) -> None:
    database.observe_engine(sqlalchemy.create_engine("sqlite://", poolclass=QueuePool))
    gc.collect()
    assert database._engines.living() == []


@pytest.mark.parametrize("is_installed", [True, False])
def test_what_is_no_engine_is_refused(monkeypatch: pytest.MonkeyPatch, is_installed: bool) -> None:
    if not is_installed:
        monkeypatch.delitem(sys.modules, "sqlalchemy")
    with pytest.raises(DeclarationError) as caught:
        database.observe_engine("sqlite://")
    assert str(caught.value) == "'str' is not a SQLAlchemy engine; give what create_engine made"


def test_queries_may_be_counted_by_hand(service: Service) -> None:
    def fail() -> None:
        with database.query("update items set id = 1"):
            raise KeyError

    async def run() -> None:
        async with database.query("SELECT"):
            pass

    asyncio.run(run())
    with pytest.raises(KeyError):
        fail()
    record_query("SELECT", "success", 0.5)
    assert counts(service) == [
        'db_queries_total{operation="SELECT",status="success"} 2.0',
        'db_queries_total{operation="UPDATE",status="error"} 1.0',
        'db_query_duration_seconds_count{operation="SELECT"} 2.0',
        'db_query_duration_seconds_count{operation="UPDATE"} 1.0',
    ]


def test_a_statement_by_hand_may_be_of_sqlalchemy_and_anything_else_is_other(service: Service) -> None:
    for statement in sqlalchemy.text("delete from items"), None:
        with database.query(statement):
            pass
    assert service.samples("db_queries") == [
        'db_queries_total{operation="DELETE",status="success"} 1.0',
        'db_queries_total{operation="OTHER",status="success"} 1.0',
    ]


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("select 1", "SELECT"),
        ("  (SELECT 1)", "SELECT"),
        ("-- who asks\n/* and why */ delete from a", "DELETE"),
        ("COMMIT;", "COMMIT"),
        ("frobnicate everything", "OTHER"),
        ("-- nothing", "OTHER"),
        ("", "OTHER"),
        ("SELECT/* all */1", "SELECT"),
        ("-- long\n" * 400 + "update a set b = 1", "UPDATE"),
        ("/* never closed", "OTHER"),
        ("/*/ select", "OTHER"),
        ("SELECT", "SELECT"),
        ("selection", "OTHER"),
    ],
)
def test_an_operation_is_the_first_word_of_sql(statement: str, operation: str) -> None:
    assert database.operation_of(statement) == operation


def test_semconv_names_queries_too(start: Callable[..., Service]) -> None:
    service = start(Naming(profile="semconv"))
    record_query("SELECT", "error", 0.5, error_type="OperationalError")
    labels: Any = 'db_operation_name="SELECT",error_type="OperationalError"'
    assert service.samples() == [
        f"db_client_operation_duration_seconds_count{{{labels}}} 1.0",
        f"db_client_operation_duration_seconds_sum{{{labels}}} 0.5",
    ]


def test_semconv_names_the_system_of_an_engine(
    start: Callable[..., Service], engine: sqlalchemy.Engine
) -> None:
    service = start(Naming(profile="semconv"))
    database.observe_engine(engine)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("select 1"))
        with pytest.raises(sqlalchemy.exc.OperationalError):
            connection.execute(sqlalchemy.text("select * from nothing"))
    with database.query("SELECT", system="postgresql") as query:
        query.fail()
    assert [line for line in service.samples("db_client_op") if "_count" in line] == [
        f"db_client_operation_duration_seconds_count{{{labels}}} 1.0"
        for labels in (
            'db_operation_name="SELECT",db_system_name="sqlite"',
            'db_operation_name="SELECT",db_system_name="sqlite",error_type="OperationalError"',
            'db_operation_name="SELECT",db_system_name="postgresql",error_type="_OTHER"',
        )
    ]


def test_a_statement_that_is_counted_by_hand_is_its_first_word(service: Service) -> None:
    record_query("select * from users where id = 7", "success", 0.5)
    record_query("get_user:7", "error")
    assert service.samples("db_queries") == [
        'db_queries_total{operation="SELECT",status="success"} 1.0',
        'db_queries_total{operation="OTHER",status="error"} 1.0',
    ]
