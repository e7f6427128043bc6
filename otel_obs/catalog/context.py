"""The context that is given to a model."""

from __future__ import annotations

from otel_obs.catalog.kit.boundary import safely
from otel_obs.catalog.kit.kinds import HistogramMetric

__all__ = ["context_size_bytes"]

context_size_bytes = HistogramMetric(
    "context_size_bytes",
    "Size of the context in bytes",
    unit="By",
    bounds=(1e3, 4e3, 16e3, 64e3, 256e3, 1e6, 4e6),
)


@safely(context_size_bytes)
def size(context: str | bytes | bytearray | memoryview | float) -> None:
    """Record how large a context is.

    Args:
        context: The text itself, as a string or as bytes, or its size in bytes.
    """
    if isinstance(context, str):
        context = context.encode(errors="replace")
    if isinstance(context, (bytes, bytearray, memoryview)):
        context = memoryview(context).nbytes
    context_size_bytes.record(context)
