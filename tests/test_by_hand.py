from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import prometheus_client
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_obs import Timer, track_time
from otel_obs.errors import DeclarationError


class Seconds:
    """An instrument that only remembers which attributes were recorded."""

    def __init__(self) -> None:
        self.seen: list[Mapping[str, Any] | None] = []

    def record(self, seconds: float, attributes: Mapping[str, Any] | None = None) -> None:
        assert seconds >= 0
        self.seen.append(attributes)


CATEGORY = {"category": "robot_cleaner"}


def test_a_timer_records_a_block() -> None:
    seconds = Seconds()
    with Timer(seconds, CATEGORY) as timer:
        assert timer.elapsed_s == 0.0
    assert timer.elapsed_s > 0.0
    assert seconds.seen == [CATEGORY]


def test_a_timer_records_a_block_that_raises() -> None:
    seconds = Seconds()
    with pytest.raises(KeyError), Timer(seconds):
        raise KeyError
    assert seconds.seen == [None]


def test_a_timer_records_an_async_block() -> None:
    seconds = Seconds()

    async def run() -> None:
        async with Timer(seconds, CATEGORY):
            await asyncio.sleep(0)

    asyncio.run(run())
    assert seconds.seen == [CATEGORY]


def test_a_timer_records_to_opentelemetry() -> None:
    reader = InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[reader]).get_meter("test")
    with Timer(meter.create_histogram("retrieval_duration", unit="s"), CATEGORY):
        pass
    data = reader.get_metrics_data()
    assert data is not None
    (point,) = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert dict(point.attributes or {}) == CATEGORY


def test_a_timer_records_to_prometheus_client() -> None:
    registry = prometheus_client.CollectorRegistry()
    histogram = prometheus_client.Histogram("a_seconds", "A", ["category"], registry=registry)
    gauge = prometheus_client.Gauge("last_seconds", "Last", registry=registry)
    with Timer(histogram, CATEGORY), Timer(gauge):
        pass
    assert registry.get_sample_value("a_seconds_count", CATEGORY) == 1
    assert registry.get_sample_value("last_seconds") > 0  # type: ignore[operator]


def test_an_instrument_that_takes_no_duration_is_refused() -> None:
    registry = prometheus_client.CollectorRegistry()
    counter = prometheus_client.Counter("a", "A", registry=registry)
    with pytest.raises(DeclarationError) as caught:
        track_time(counter)  # type: ignore[arg-type]
    assert str(caught.value) == "'Counter' cannot take a duration; give a histogram or a gauge"


def test_a_function_keeps_its_signature_and_result() -> None:
    seconds = Seconds()

    @track_time(seconds, CATEGORY)
    def retrieve(query: str, *, limit: int = 3) -> list[str]:
        """Retrieve."""
        return [query] * limit

    assert retrieve("a", limit=2) == ["a", "a"]
    assert str(inspect.signature(retrieve)) == "(query: 'str', *, limit: 'int' = 3) -> 'list[str]'"
    assert (retrieve.__name__, retrieve.__doc__) == ("retrieve", "Retrieve.")
    assert seconds.seen == [CATEGORY]


def test_labels_may_be_computed_from_the_call() -> None:
    seconds = Seconds()

    class Engine:
        @track_time(seconds, lambda self, category, **_: {"category": category})
        def retrieve(self, category: str, limit: int = 1) -> int:
            return limit

    assert Engine().retrieve("toys", limit=5) == 5
    assert seconds.seen == [{"category": "toys"}]


def test_labels_that_cannot_be_computed_do_not_break_the_call() -> None:
    refused = []

    class Refusing(Seconds):
        def drop(self, reason: str, detail: str) -> None:
            refused.append((reason, detail))

    seconds = Refusing()

    @track_time(seconds, lambda item: {"category": item["category"]})
    def retrieve(item: dict[str, str]) -> int:
        return len(item)

    assert retrieve({}) == 0
    assert seconds.seen == []
    assert refused == [("attributes", "'category'")]


def test_a_coroutine_function_is_timed_to_its_end() -> None:
    seconds = Seconds()

    @track_time(seconds)
    async def retrieve() -> int:
        assert seconds.seen == []
        await asyncio.sleep(0)
        assert seconds.seen == []
        return 7

    assert inspect.iscoroutinefunction(retrieve)
    assert asyncio.run(retrieve()) == 7
    assert seconds.seen == [None]


def test_a_generator_is_timed_to_its_end_and_relays_everything() -> None:
    seconds = Seconds()

    @track_time(seconds)
    def echo() -> Iterator[Any]:
        got: Any = "start"
        while got != "stop":
            try:
                got = yield got
            except KeyError:
                got = "caught"
        return "result"  # type: ignore[return-value]

    assert inspect.isgeneratorfunction(echo)
    steps: Any = echo()
    assert next(steps) == "start"
    assert steps.send("a") == "a"
    assert steps.throw(KeyError()) == "caught"
    assert seconds.seen == []
    with pytest.raises(StopIteration) as stopped:
        steps.send("stop")
    assert stopped.value.value == "result"
    assert seconds.seen == [None]


def test_an_async_generator_is_timed_to_its_end_and_relays_everything() -> None:
    seconds = Seconds()
    closed = []

    @track_time(seconds)
    async def echo() -> AsyncIterator[Any]:
        got: Any = "start"
        try:
            while got != "stop":
                try:
                    got = yield got
                except KeyError:
                    got = "caught"
        finally:
            closed.append(got)

    async def run() -> None:
        steps: Any = echo()
        assert await steps.__anext__() == "start"
        assert await steps.asend("a") == "a"
        assert await steps.athrow(KeyError()) == "caught"
        assert seconds.seen == []
        with pytest.raises(StopAsyncIteration):
            await steps.asend("stop")
        early: Any = echo()
        assert await early.__anext__() == "start"
        await early.aclose()

    assert inspect.isasyncgenfunction(echo)
    asyncio.run(run())
    assert closed == ["stop", "start"]
    assert seconds.seen == [None, None]


def test_a_callable_object_with_an_async_call_is_a_coroutine_function() -> None:
    seconds = Seconds()

    class Agent:
        async def __call__(self) -> int:
            assert seconds.seen == []
            return 1

    tracked = track_time(seconds)(Agent())
    assert asyncio.run(tracked()) == 1
    assert seconds.seen == [None]


def test_a_class_or_static_method_stays_one() -> None:
    seconds = Seconds()

    class Engine:
        @track_time(seconds, lambda cls, category: {"category": category})
        @classmethod
        def retrieve(cls, category: str) -> str:
            return cls.__name__ + category

        @track_time(seconds)
        @staticmethod
        async def score(number: int) -> int:
            return number

    assert Engine.retrieve("a") == Engine().retrieve("a") == "Enginea"
    assert asyncio.run(Engine().score(7)) == 7
    assert seconds.seen == [{"category": "a"}, {"category": "a"}, None]


def test_labels_are_those_at_the_time_of_the_declaration() -> None:
    seconds = Seconds()
    labels = {"category": "a"}
    timer = Timer(seconds, labels)
    labels["category"] = "b"
    with timer:
        pass
    assert seconds.seen == [{"category": "a"}]
