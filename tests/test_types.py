"""Types survive decorators and blocks: `make check` holds every `assert_type` in here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest
from typing_extensions import assert_type

from otel_obs import Timer, track_errors, track_time
from otel_obs.catalog import (
    detection_total,
    evidence_count,
    llm,
    model_state,
    retrieval_duration_seconds,
    workflow,
    workflows_active,
)
from otel_obs.catalog.kit.handles import CounterHandle, GaugeHandle, HistogramHandle, UpDownCounterHandle

TOYS = {"category": "toys"}


@track_time(retrieval_duration_seconds, TOYS)
def function(number: int) -> list[str]:
    return ["a"] * number


@track_errors("retrieval_error", "retrieval")
async def coroutine(number: int) -> str:
    return str(number)


@track_errors("retrieval_error", lambda number: f"retrieval {number}")
def generator(number: int) -> Iterator[int]:
    yield number


@track_time(retrieval_duration_seconds, lambda number: {"category": str(number)})
async def async_generator(number: int) -> AsyncIterator[int]:
    yield number


class Engine:
    @track_time(retrieval_duration_seconds, TOYS)
    def method(self, number: int) -> bool:
        return number > 0

    @classmethod
    @track_time(retrieval_duration_seconds, TOYS)
    def class_method(cls, number: int) -> bool:
        return number > 0

    @staticmethod
    @Timer(retrieval_duration_seconds, TOYS)
    def static_method(number: int) -> bool:
        return number > 0


def test_decorators_keep_types() -> None:
    assert_type(function(1), list[str])
    assert_type(generator(1), Iterator[int])
    assert_type(async_generator(1), AsyncIterator[int])
    assert_type(Engine().method(1), bool)
    assert_type(Engine.class_method(number=1), bool)
    assert_type(Engine.static_method(1), bool)
    assert asyncio.run(assert_type(coroutine(1), Coroutine[Any, Any, str])) == "1"
    plain: Callable[[int], list[str]] = function
    assert plain(1) == ["a"]
    with pytest.raises(TypeError):
        function("many")  # type: ignore[arg-type]


def test_handles_have_the_methods_of_their_kind() -> None:
    assert_type(detection_total.labels(camera_id="1", model_type="yolov8n"), CounterHandle)
    assert_type(evidence_count.bind(TOYS), HistogramHandle)
    assert_type(model_state.labels(), GaugeHandle)
    assert_type(workflows_active.bind(), UpDownCounterHandle)


async def blocks() -> None:
    with Timer(retrieval_duration_seconds, TOYS) as timer:
        assert_type(timer, Timer)
    async with Timer(retrieval_duration_seconds, TOYS) as async_timer:
        assert_type(async_timer, Timer)
    with workflow.run("brief") as run:
        assert_type(run, workflow.run)
    async with llm.call("openai") as call:
        assert_type(call, llm.call)
        async for number in call.stream(async_generator(1)):
            assert_type(number, int)
        for letter in call.stream("ab"):
            assert_type(letter, str)


def test_blocks_give_what_they_are() -> None:
    asyncio.run(blocks())
