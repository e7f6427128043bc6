"""Worker threads and background tasks of Starlette and FastAPI."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import weakref
from typing import Any

import anyio.to_thread
import pytest
from fastapi import BackgroundTasks, FastAPI
from starlette.background import BackgroundTask
from starlette.testclient import TestClient

import otel_obs
from otel_obs.catalog import asgi, runtime
from otel_obs.catalog.asgi import task_name
from tests.support.samples import Samples, parse_samples
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("service_of_its_own")


def scrape() -> Samples:
    return parse_samples(otel_obs.get_metrics()[0].decode())


def work(how: str) -> None:
    if how == "fail":
        raise LookupError


async def work_later(how: str) -> None:
    work(how)


@pytest.mark.parametrize("function", [work, work_later, functools.partial(work)])
def test_background_tasks(function: Any) -> None:
    app = FastAPI()

    @app.get("/{how}")
    def ask(how: str, tasks: BackgroundTasks) -> None:
        tasks.add_task(function, how)

    client = TestClient(otel_obs.instrument(app), raise_server_exceptions=False)
    for how in ("do", "do", "fail"):
        client.get(f"/{how}")
    samples, task = scrape(), task_name(function)
    assert samples.value("background_tasks_total", task=task, status="success") == 2
    assert samples.value("background_tasks_total", task=task, status="error") == 1
    assert samples.value("background_task_duration_seconds_count", task=task) == 3
    assert samples.value("background_tasks_in_progress", task=task) == 0
    assert samples.total("http_requests_total", status_code="200") == 3


def test_nothing_is_left_after_shutdown() -> None:
    before = BackgroundTask.__call__
    otel_obs.configure()
    assert BackgroundTask.__call__ is not before
    otel_obs.shutdown()
    assert BackgroundTask.__call__ is before


def test_worker_threads() -> None:
    app, began, may_end = FastAPI(), threading.Event(), threading.Event()

    @app.get("/slow")
    def slow() -> None:
        began.set()
        may_end.wait(60)

    with TestClient(otel_obs.instrument(app)) as client:
        asking = threading.Thread(target=client.get, args=("/slow",))
        asking.start()
        began.wait(60)

        def used() -> bool:
            samples = scrape()
            assert samples.value("worker_thread_tokens_limit") == 40
            assert samples.value("worker_thread_tokens_waiting") == 0
            return samples.value("worker_thread_tokens_used") >= 1

        try:
            until(used, "a worker thread in use")
        finally:
            may_end.set()
            asking.join()


def test_a_loop_that_has_ended_is_not_kept() -> None:
    async def serve() -> weakref.ref[asyncio.AbstractEventLoop]:
        runtime.watch_running_loop()
        await anyio.to_thread.run_sync(int)
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(serve())
    gc.collect()
    assert loop() is None
    assert asgi._limiters.living() == []
