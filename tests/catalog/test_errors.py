from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator

import pytest

from otel_obs.catalog import record_error, track_errors
from otel_obs.errors import DeclarationError
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


def test_labels_may_be_made_from_the_call(service: Service) -> None:
    @track_errors(lambda category, **_: f"{category}_error", lambda category, component: component)
    def retrieve(category: str, *, component: str) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        retrieve("toys", component="retrieval")
    assert service.samples() == ['errors_total{component="retrieval",error_type="toys_error"} 1.0']


def test_labels_that_cannot_be_made_from_the_call_are_a_counted_drop(service: Service) -> None:
    @track_errors("retrieval_error", lambda: "retrieval")
    def retrieve(category: str) -> None:
        raise KeyError(category)

    with pytest.raises(KeyError, match="toys"):
        retrieve("toys")
    assert service.samples() == []
    assert service.provider.dropped == {"error": 1}


@pytest.mark.parametrize(
    ("error_type", "component", "message"),
    [
        ("a", None, "'component' is None; give a text, or a function that makes one from the call"),
        ("a", "", "'component' is ''; give a text, or a function that makes one from the call"),
        (1, "a", "'error_type' is 1; give a text, or a function that makes one from the call"),
    ],
)
def test_what_is_no_label_is_refused_when_it_is_declared(
    error_type: object, component: object, message: str
) -> None:
    with pytest.raises(DeclarationError) as caught:
        track_errors(error_type, component)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_class_and_static_methods_are_tracked_on_either_side(service: Service) -> None:
    class Engine:
        @track_errors("outer", "retrieval")
        @classmethod
        def retrieve(cls, category: str) -> None:
            raise KeyError(cls.__name__, category)

        @track_errors("outer", "retrieval")
        @staticmethod
        def score(category: str) -> None:
            raise KeyError(category)

        @classmethod
        @track_errors("inner", "retrieval")
        def rank(cls, category: str) -> None:
            raise KeyError(cls.__name__, category)

    for call, expected in (
        (Engine.retrieve, ("Engine", "toys")),
        (Engine().retrieve, ("Engine", "toys")),
        (Engine.score, ("toys",)),
        (Engine().score, ("toys",)),
        (Engine().rank, ("Engine", "toys")),
    ):
        with pytest.raises(KeyError) as caught:
            call("toys")
        assert caught.value.args == expected
    assert service.samples() == [
        'errors_total{component="retrieval",error_type="outer"} 4.0',
        'errors_total{component="retrieval",error_type="inner"} 1.0',
    ]


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(DeclarationError) as caught:
        track_errors("a", "b")(5)  # type: ignore[arg-type]
    assert str(caught.value) == "'int' cannot be measured; decorate a function or a method"
