"""`make_asgi_app`: as that of `prometheus_client`, but a long collection does not block the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any

from prometheus_client import asgi as their_asgi
from prometheus_client import registry as their_registry

from otel_obs.http.asgi_types import AsgiMessage, AsgiReceive, AsgiScope, AsgiSend
from otel_obs.prometheus.registry import REGISTRY, Collector, share

__all__ = ["make_asgi_app"]

ClientApplication = Callable[[AsgiScope, AsgiReceive, AsgiSend], Coroutine[Any, Any, None]]

THEIRS: Callable[..., ClientApplication] = their_asgi.make_asgi_app

LONG_S = 0.005
"""If the last collection took longer, the next one gets a thread; shorter ones cost less than a thread."""


def make_asgi_app(registry: Collector = REGISTRY, disable_compression: bool = False) -> ClientApplication:
    """Create an ASGI application that serves the metrics of *registry*.

    Args:
        registry: What to collect.
        disable_compression: Whether no answer is compressed.
    """
    if isinstance(registry, their_registry.CollectorRegistry):
        share(registry)
    application: ClientApplication = THEIRS(registry, disable_compression)

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


def _answer(application: ClientApplication, scope: AsgiScope) -> list[AsgiMessage]:
    """Run *application* to its end without an event loop, and return the messages that it sends.

    It awaits only `receive` and `send`, which return at once here: one step of the coroutine is all of it.

    Raises:
        RuntimeError: It awaits anything else.
    """
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
    """Lower the headers' case, as ASGI requires: else a middleware misses `content-encoding`."""
    if message["type"] != "http.response.start":
        return message
    return {**message, "headers": [(name.lower(), value) for name, value in message["headers"]]}


async def _aside(work: Callable[[], list[AsgiMessage]]) -> list[AsgiMessage]:
    """Run *work* on a thread of its own, not in the loop's pool: if that is busy, the scrape would wait."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return work()  # not asyncio, as under trio
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
    if done.done():  # the request was cancelled meanwhile
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(answer)
