"""Fixtures to test an application's metrics: each test sees only what it has recorded itself.

pytest finds the fixtures `metrics_recorded` and `fixed_clock` by itself (`otel_obs.testing.plugin`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_obs.testing.clock import FixedClock
    from otel_obs.testing.recorded import MetricsDelta, MetricsRecorded

__all__ = ["FixedClock", "MetricsDelta", "MetricsRecorded"]


if not TYPE_CHECKING:  # a type checker that saw __getattr__ would accept any misspelt name as Any

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first used: pytest loads this package in every run."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = "clock" if name == "FixedClock" else "recorded"
        return getattr(import_module(f"{__name__}.{module}"), name)
