"""Whether wrong declarations are logged instead of raised, since set-up makes them and not their own code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

is_forgiving = ContextVar("otel_obs.is_forgiving", default=False)


@contextmanager
def forgiving() -> Iterator[None]:
    """Have wrong declarations logged, not raised, within this block."""
    token = is_forgiving.set(True)
    try:
        yield
    finally:
        is_forgiving.reset(token)
