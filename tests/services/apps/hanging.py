"""Counts requests, as WSGI; one for `/hang` takes longer than any server waits for a worker's end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
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
