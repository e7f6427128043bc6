"""`make_asgi_app`: the application of `prometheus_client`, which here does not hold up the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any

from prometheus_client import asgi as theirs
from prometheus_client import registry as registries

from otel_obs.http.asgi_types import AsgiMessage, AsgiReceive, AsgiScope, AsgiSend
from otel_obs.prometheus.registry import REGISTRY, Collector, share

__all__ = ["make_asgi_app"]

Application = Callable[[AsgiScope, AsgiReceive, AsgiSend], Coroutine[Any, Any, None]]

THEIRS: Callable[..., Application] = theirs.make_asgi_app

LONG_S = 0.005
"""A collection that took longer the last time gets a thread of its own; shorter ones are not worth it."""


def make_asgi_app(registry: Collector = REGISTRY, disable_compression: bool = False) -> Application:
    """Create an ASGI application that serves the metrics of *registry*.

    Args:
        registry: What to collect.
        disable_compression: Whether no answer is compressed.
    """
    if isinstance(registry, registries.CollectorRegistry):
        share(registry)
    application: Application = THEIRS(registry, disable_compression)

    last_s = 0.0

    def answer_it(scope: AsgiScope) -> list[AsgiMessage]:
        nonlocal last_s
        started_s = perf_counter()
        try:
            return _answer(application, scope)
        finally:
            last_s = perf_counter() - started_s

    async def prometheus_app(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        if last_s > LONG_S:
            answer = await _aside(lambda: answer_it(scope))
        else:
            answer = answer_it(scope)
        payload = await receive()
        if payload.get("type") == "http.request":
            for message in answer:
                await send(message)

    return prometheus_app


def _answer(application: Application, scope: AsgiScope) -> list[AsgiMessage]:
    """What *application* sends; it never waits for anything but a request that is there."""
    answer: list[AsgiMessage] = []

    async def receive() -> AsgiMessage:
        return {"type": "http.request"}

    async def send(message: AsgiMessage) -> None:
        answer.append(_spelt(message))

    try:
        application(scope, receive, send).send(None)
    except StopIteration:
        return answer
    raise RuntimeError("the application of prometheus_client waits for something")


def _spelt(message: AsgiMessage) -> AsgiMessage:
    """Headers in lower case, as ASGI has them: a middleware that compresses sees what is compressed then."""
    if message["type"] != "http.response.start":
        return message
    return {**message, "headers": [(name.lower(), value) for name, value in message["headers"]]}


async def _aside(work: Callable[[], list[AsgiMessage]]) -> list[AsgiMessage]:
    """Run *work* on a thread of its own: a busy pool of threads may not keep a scrape waiting."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return work()  # trio's loop
    done: asyncio.Future[list[AsgiMessage]] = loop.create_future()

    def run() -> None:
        try:
            answer = work()
        except Exception as error:
            loop.call_soon_threadsafe(_resolve, done, error, [])
        else:
            loop.call_soon_threadsafe(_resolve, done, None, answer)

    threading.Thread(target=run, name="otel-obs-prometheus", daemon=True).start()
    return await done


def _resolve(
    done: asyncio.Future[list[AsgiMessage]], error: Exception | None, answer: list[AsgiMessage]
) -> None:
    if done.done():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(answer)
