from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator

import pytest

from otel_obs.catalog import record_error, track_errors
from tests.catalog.conftest import Service

COUNTED = ['errors_total{component="retrieval",error_type="retrieval_error"} 1.0']


def test_an_error_is_counted_by_hand(service: Service) -> None:
    record_error("timeout", "llm")
    assert service.samples() == ['errors_total{component="llm",error_type="timeout"} 1.0']


def test_what_a_function_raises_is_counted_and_goes_on(service: Service) -> None:
    @track_errors("retrieval_error", "retrieval")
    def retrieve(query: str) -> int:
        return int(query)

    assert retrieve("1") == 1
    assert service.samples() == []
    with pytest.raises(ValueError, match="invalid literal"):
        retrieve("x")
    assert service.samples() == COUNTED
    assert str(inspect.signature(retrieve)) == "(query: 'str') -> 'int'"


def test_what_a_coroutine_raises_is_counted(service: Service) -> None:
    @track_errors("retrieval_error", "retrieval")
    async def retrieve() -> None:
        await asyncio.sleep(0)
        raise ValueError

    with pytest.raises(ValueError, match="^$"):
        asyncio.run(retrieve())
    assert service.samples() == COUNTED


def test_what_a_generator_raises_is_counted_but_not_that_it_is_closed(service: Service) -> None:
    @track_errors("retrieval_error", "retrieval")
    def retrieve() -> Iterator[int]:
        yield 1
        raise ValueError

    steps = retrieve()
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert service.samples() == []
    with pytest.raises(ValueError, match="^$"):
        list(retrieve())
    assert service.samples() == COUNTED


def test_what_an_async_generator_raises_is_counted(service: Service) -> None:
    @track_errors("retrieval_error", "retrieval")
    async def retrieve() -> AsyncIterator[int]:
        yield 1
        raise ValueError

    async def run() -> None:
        async for _ in retrieve():
            pass

    with pytest.raises(ValueError, match="^$"):
        asyncio.run(run())
    assert service.samples() == COUNTED


def test_the_class_of_an_exception_may_name_it(service: Service) -> None:
    @track_errors(None, "retrieval")
    def retrieve() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        retrieve()
    assert service.samples() == ['errors_total{component="retrieval",error_type="KeyError"} 1.0']


def test_cancellation_is_no_error(service: Service) -> None:
    @track_errors("retrieval_error", "retrieval")
    async def retrieve() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(retrieve())
    assert service.samples() == []
