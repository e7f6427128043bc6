"""A server of the live page, on a thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from otel_obs.live.loopback import LiveServer


@contextmanager
def served(server: LiveServer) -> Iterator[str]:
    """Serve until the end of the block; gives the address."""
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
