"""Answers a scrape on a thread beside an event loop, which must not be blocked."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import suppress

from otel_obs.serving.polite import run_politely
from otel_obs.serving.scrape import PartedAnswer, Scrape, ScrapeRequest, ScrapeSteps, run_steps


async def answer_aside(scrape: Scrape, request: ScrapeRequest) -> PartedAnswer:
    """Answer *request* on a new thread: it blocks neither the loop nor waits for a busy thread pool."""
    refusal = scrape.refusal(request)
    if refusal is not None:
        return refusal  # no thread for a request without the token
    steps = scrape.steps(request)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return await _beside_trio(steps)
    done: asyncio.Future[PartedAnswer] = loop.create_future()

    def work() -> None:
        answer = run_politely(steps, lambda: not done.cancelled())
        if answer is not None:
            with suppress(RuntimeError):  # the loop is closed: the server has ended meanwhile
                # A future belongs to its loop's thread; only this call may be made from another one.
                loop.call_soon_threadsafe(_resolve, done, answer)

    threading.Thread(target=work, name="otel-obs-scrape", daemon=True).start()
    return await done


async def _beside_trio(steps: ScrapeSteps) -> PartedAnswer:
    trio = sys.modules.get("trio")
    if trio is None:
        return run_steps(steps)
    limiter = trio.CapacityLimiter(1)  # not the default one, whose threads the application may all use
    answer: PartedAnswer = await trio.to_thread.run_sync(
        run_politely, steps, limiter=limiter, abandon_on_cancel=True
    )
    return answer


def _resolve(done: asyncio.Future[PartedAnswer], answer: PartedAnswer) -> None:
    if not done.done():
        done.set_result(answer)
