"""A clock that only a test moves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

# Modules that measure durations with perf_counter. They are imported before the clock is replaced: a later
# import would bind the real clock.
_TIMING = (
    "catalog.asgi",
    "catalog.database",
    "catalog.kit.timed_run",
    "catalog.llm",
    "http.asgi_exchange",
    "http.websocket",
    "http.wsgi_exchange",
    "sdk.context_managers",
)
_NAME = "perf_counter"


class FixedClock:
    """The clock that durations are measured with.

    Attributes:
        now_s: The present time in seconds, with an arbitrary zero.
    """

    def __init__(self, now_s: float = 1_000.0) -> None:
        self.now_s = now_s

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            ValueError: *seconds* is below zero.
        """
        if seconds < 0:
            raise ValueError(f"{seconds!r} seconds cannot pass; expected 0 or more")
        self.now_s += seconds

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.now_s


@contextmanager
def stopped_clock(clock: FixedClock) -> Iterator[FixedClock]:
    """Measure every duration with *clock* inside the block."""
    for name in _TIMING:
        import_module(f"otel_obs.{name}")
    modules = [module for name, module in sys.modules.items() if name.startswith("otel_obs.")]
    real = [(module, getattr(module, _NAME)) for module in modules if _NAME in vars(module)]
    for module, _ in real:
        setattr(module, _NAME, clock)
    try:
        yield clock
    finally:
        for module, counter in real:
            setattr(module, _NAME, counter)
