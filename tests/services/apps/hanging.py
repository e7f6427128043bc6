"""Counts requests; one for `/hang`, or a worker's end, takes longer than any server waits."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from otel_obs import prometheus

hits = prometheus.Counter("hits", "Requests")


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with this process's number."""
    hits.inc()
    if environ["PATH_INFO"] == "/hang":
        Path(os.environ["HANGING_SIGN"]).touch()
        time.sleep(300)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


async def asgi(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """The same as ASGI, without `/hang`."""
    while scope["type"] == "lifespan":
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
    hits.inc()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


def hang() -> None:
    """Run for longer than any server waits, before any exit handler of otel_obs."""
    Path(f"{os.environ['HANGING_SIGN']}-{os.getpid()}").touch()
    time.sleep(300)


def hang_unless_first(place: Path) -> None:
    """Let one process go on; have each other wait for its sign, then join, and hang for ever."""
    try:
        (place / "first").touch(exist_ok=False)
    except FileExistsError:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # by which uWSGI interrupts what is loading
        (place / "waits").touch()
        while not (place / "go").exists():
            time.sleep(0.01)
        hits.inc()
        (place / "joined").touch()
        time.sleep(300)


if "HANGING_AS_IT_LOADS" in os.environ:
    hang_unless_first(Path(os.environ["HANGING_SIGN"]))

if "HANGING_AT_END" in os.environ:
    Finalize(None, hang, exitpriority=100)
