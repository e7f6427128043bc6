"""Whether what the application declares wrongly is logged instead of raised: it is not its code that runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

is_forgiving = ContextVar("otel_obs.is_forgiving", default=False)


@contextmanager
def forgiving() -> Iterator[None]:
    """Have wrong declarations logged in this block."""
    token = is_forgiving.set(True)
    try:
        yield
    finally:
        is_forgiving.reset(token)
