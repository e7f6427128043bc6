"""`traced`: a span for every call, of whatever sort the function is."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from otel_obs.tracing import is_on, traced

Spans = Callable[[], dict[str, ReadableSpan]]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """Every finished span by its name, where there is tracing."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)

    def by_name() -> dict[str, ReadableSpan]:
        found = exporter.get_finished_spans()
        assert len({span.name for span in found}) == len(found)
        return {span.name: span for span in found}

    yield by_name
    provider.shutdown()


def current() -> str:
    """The name of the span that is the current one."""
    span: Any = trace.get_current_span()
    return getattr(span, "name", "none")


def parent_of(span: ReadableSpan) -> int:
    return span.parent.span_id if span.parent is not None else 0


def id_of(span: ReadableSpan) -> int:
    context: Any = span.context
    span_id: int = context.span_id
    return span_id


def test_a_function_is_a_span_with_its_name(spans: Spans) -> None:
    @traced
    def work(number: int) -> str:
        """What it does."""
        return f"{number} in {current()}"

    name = "test_a_function_is_a_span_with_its_name.<locals>.work"
    assert work(3) == f"3 in {name}"
    assert work.__doc__ == "What it does."
    assert list(inspect.signature(work).parameters) == ["number"]
    span = spans()[name]
    assert (span.kind, span.status.status_code) == (SpanKind.INTERNAL, StatusCode.UNSET)
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == __name__


def test_a_name_a_kind_and_attributes_can_be_given(spans: Spans) -> None:
    @traced("ask", {"peer": "model"}, kind=SpanKind.CLIENT)
    def ask() -> None:
        pass

    ask()
    span = spans()["ask"]
    assert span.kind is SpanKind.CLIENT
    assert span.attributes == {"peer": "model"}


def test_attributes_can_be_made_from_the_arguments(spans: Spans) -> None:
    @traced("look", lambda camera, **_: {"camera": camera})
    def look(camera: str, frames: int = 1) -> None:
        pass

    look("yard", frames=3)
    assert spans()["look"].attributes == {"camera": "yard"}


def test_attributes_that_cannot_be_made_leave_the_call_alone(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    @traced("look", lambda camera: {"camera": camera.name})
    def look(camera: str) -> str:
        return camera

    assert look("yard") == "yard"
    assert spans()["look"].attributes == {}
    assert "the attributes of span 'look' could not be made: AttributeError" in caplog.text


def test_an_exception_is_on_the_span_and_goes_on(spans: Spans) -> None:
    @traced("fail")
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    span = spans()["fail"]
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


def test_methods_are_spans_in_either_order_of_decorators(spans: Spans) -> None:
    class Worker:
        @traced("method")
        def work(self) -> str:
            return current()

        @traced("class inside")
        @classmethod
        def make(cls) -> tuple[str, type]:
            return current(), cls

        @classmethod
        @traced("class outside")
        def remake(cls) -> tuple[str, type]:
            return current(), cls

        @traced("static inside")
        @staticmethod
        def help() -> str:
            return current()

        @traced
        @classmethod
        async def wait(cls) -> type:
            return cls

    assert Worker().work() == "method"
    assert Worker.make() == ("class inside", Worker)
    assert Worker().remake() == ("class outside", Worker)
    assert Worker.help() == "static inside"
    assert asyncio.run(Worker.wait()) is Worker
    assert any(name.endswith("Worker.wait") for name in spans())


def test_a_coroutine_function_stays_one(spans: Spans) -> None:
    @traced("outer")
    async def outer() -> str:
        await asyncio.sleep(0)
        return await inner()

    @traced("inner")
    async def inner() -> str:
        return current()

    assert inspect.iscoroutinefunction(outer)
    assert asyncio.run(outer()) == "inner"
    found = spans()
    assert parent_of(found["inner"]) == id_of(found["outer"])


def test_a_generator_is_a_span_that_is_current_only_inside(spans: Spans) -> None:
    @traced("words")
    def words() -> Generator[str, str, str]:
        answer = yield f"first in {current()}"
        yield f"{answer} in {current()}"
        return "the end"

    generator = words()
    assert "words" not in spans()
    assert next(generator) == "first in words"
    assert current() == "none"
    assert generator.send("second") == "second in words"
    with pytest.raises(StopIteration) as end:
        next(generator)
    assert end.value.value == "the end"
    assert spans()["words"].status.status_code is StatusCode.UNSET


def test_a_generator_that_is_left_ends_its_span(spans: Spans) -> None:
    closed = []

    @traced("numbers")
    def numbers() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(current())

    for _ in numbers():
        break
    assert closed
    assert spans()["numbers"].status.status_code is StatusCode.UNSET


def test_what_is_thrown_into_a_generator_arrives_there(spans: Spans) -> None:
    @traced("patient")
    def patient() -> Generator[str, None, None]:
        try:
            yield "waiting"
        except KeyError:
            yield "caught"
        raise ValueError("no more")

    generator = patient()
    next(generator)
    assert generator.throw(KeyError("key")) == "caught"
    with pytest.raises(ValueError, match="no more"):
        next(generator)
    span = spans()["patient"]
    assert span.status.description == "ValueError: no more"


def test_an_async_generator_is_a_span_that_is_current_only_inside(spans: Spans) -> None:
    @traced("words")
    async def words() -> AsyncGenerator[str, str]:
        answer = yield f"first in {current()}"
        await asyncio.sleep(0)
        yield f"{answer} in {current()}"

    async def read() -> list[str]:
        generator = words()
        seen = [await generator.__anext__(), current(), await generator.asend("second")]
        with pytest.raises(StopAsyncIteration):
            await generator.__anext__()
        return seen

    assert inspect.isasyncgenfunction(words)
    assert asyncio.run(read()) == ["first in words", "none", "second in words"]
    assert "words" in spans()


def test_an_async_generator_that_raises_says_so_on_its_span(spans: Spans) -> None:
    @traced("words")
    async def words() -> AsyncGenerator[str, None]:
        yield "one"
        raise ValueError("no more")

    async def read() -> list[str]:
        return [word async for word in words()]

    with pytest.raises(ValueError, match="no more"):
        asyncio.run(read())
    assert spans()["words"].status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("name", ["", "named"])
def test_without_tracing_everything_works_and_nothing_is_made(name: str) -> None:
    assert not is_on()

    @traced(name)
    def plain() -> str:
        return current()

    @traced(name)
    async def coroutine() -> str:
        return current()

    @traced(name)
    def generator() -> Iterator[str]:
        yield current()

    @traced(name)
    async def async_generator() -> AsyncGenerator[str, None]:
        yield current()

    async def read() -> list[str]:
        return [await coroutine()] + [each async for each in async_generator()]

    assert [plain(), *generator(), *asyncio.run(read())] == ["none"] * 4
