from __future__ import annotations

import asyncio

import pytest

from otel_obs.catalog import agent, context, workflow
from tests.catalog.conftest import Service


def without_sums(service: Service) -> list[str]:
    return [line for line in service.samples() if "_sum" not in line]


def test_an_agents_runs_are_counted_and_timed(service: Service) -> None:
    with agent.run("planner"):
        pass
    with pytest.raises(KeyError), agent.run("planner"):
        raise KeyError
    with agent.run("planner") as run:
        run.fail()
    assert without_sums(service) == [
        'agent_executions_total{agent="planner",status="success"} 1.0',
        'agent_executions_total{agent="planner",status="error"} 2.0',
        'agent_duration_seconds_count{agent="planner"} 3.0',
    ]


def test_a_workflow_is_active_while_it_runs(service: Service) -> None:
    async def run() -> None:
        async with workflow.run("research"):
            async with workflow.run("research"):
                assert service.samples("workflows_active") == ["workflows_active 2.0"]
            assert service.samples("workflows_active") == ["workflows_active 1.0"]

    asyncio.run(run())
    with pytest.raises(KeyError), workflow.run("research"):
        raise KeyError
    assert sorted(without_sums(service)) == [
        'workflow_duration_seconds_count{workflow="research"} 3.0',
        "workflows_active 0.0",
        'workflows_total{status="error",workflow="research"} 1.0',
        'workflows_total{status="success",workflow="research"} 2.0',
    ]


def test_a_workflow_that_is_cancelled_is_an_error_and_no_longer_active(service: Service) -> None:
    async def forever() -> None:
        async with workflow.run("research"):
            await asyncio.Event().wait()

    async def run() -> None:
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert service.samples("workflows_active") == ["workflows_active 0.0"]
    assert service.samples("workflows_total") == ['workflows_total{status="error",workflow="research"} 1.0']


def test_a_context_has_a_size_in_bytes(service: Service) -> None:
    context.size("äöü")
    context.size(b"1234")
    context.size(90)
    context.size(bytearray(b"123"))
    context.size(memoryview(b"1234567"))
    context.size([])  # type: ignore[arg-type]
    assert service.samples() == ["context_size_bytes_count 5.0", "context_size_bytes_sum 110.0"]
    assert service.provider.dropped == {"not_a_number": 1}
