"""Answer a scrape beside an event loop, which goes on turning meanwhile."""

from __future__ import annotations

import asyncio
import threading

from otel_obs.http.polite import run_politely
from otel_obs.http.scrape import PartedAnswer, Scrape, ScrapeRequest, run


async def answer_aside(scrape: Scrape, request: ScrapeRequest) -> PartedAnswer:
    """Answer *request* on a thread of its own, so that neither the loop nor a busy thread pool waits."""
    steps = scrape.steps(request)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return run(steps)  # trio's loop
    done: asyncio.Future[PartedAnswer] = loop.create_future()

    def work() -> None:
        answer = run_politely(steps, lambda: not done.cancelled())
        if answer is not None:
            loop.call_soon_threadsafe(_resolve, done, answer)

    threading.Thread(target=work, name="otel-obs-scrape", daemon=True).start()
    return await done


def _resolve(done: asyncio.Future[PartedAnswer], answer: PartedAnswer) -> None:
    if not done.done():
        done.set_result(answer)
