"""Blocks and calls that are measured by hand: `Timer`, `track_time`, `track_errors`."""

from otel_obs.catalog.errors import track_errors
from otel_obs.sdk.timing import Timer, track_time

__all__ = ["Timer", "track_errors", "track_time"]
