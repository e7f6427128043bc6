"""Answer a scrape beside an event loop, which goes on turning meanwhile."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

from otel_obs.http.scrape import Answer, Scrape, ScrapeRequest, Steps, run

NAP_S = 0.0002
SWITCH_S = 0.001


async def answer_aside(scrape: Scrape, request: ScrapeRequest) -> Answer:
    """Answer *request* on a thread of its own, so that neither the loop nor a busy thread pool waits."""
    steps = scrape.steps(request)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return run(steps)  # trio's loop
    done: asyncio.Future[Answer] = loop.create_future()

    def work() -> None:
        answer = _run_politely(steps, done)
        if answer is not None:
            loop.call_soon_threadsafe(_resolve, done, answer)

    threading.Thread(target=work, name="otel-obs-scrape", daemon=True).start()
    return await done


def _resolve(done: asyncio.Future[Answer], answer: Answer) -> None:
    if not done.done():
        done.set_result(answer)


def _run_politely(steps: Steps, done: asyncio.Future[Answer]) -> Answer | None:
    """Run *steps*, and nap between them, so that the loop's thread gets the GIL at once."""
    with _switching:
        while not done.cancelled():
            try:
                next(steps)
            except StopIteration as end:
                answer: Answer = end.value
                return answer
            time.sleep(NAP_S)
    steps.close()
    return None


class _Switching:
    """Within a long step the loop gets the GIL after 5 ms by default; after 1 ms while we are at it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before_s = SWITCH_S

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._before_s = sys.getswitchinterval()
                sys.setswitchinterval(min(SWITCH_S, self._before_s))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                sys.setswitchinterval(self._before_s)


_switching = _Switching()
