"""`get_metrics`, for a route of the application. Its import shows that this process will be exposed."""

from __future__ import annotations

from otel_obs.assembly.setup import configure
from otel_obs.catalog.kit.early import arm

arm()


def get_metrics(accept: str | None = None) -> tuple[bytes, str]:
    """Encode an exposition over all workers, for a route of the application.

    Args:
        accept: The request's Accept header; None is text 0.0.4.

    Returns:
        The body, and its content type. That has no charset, as Flask's `mimetype=` and Starlette's
        `media_type=` add that themselves.
    """
    pipeline = configure()
    return pipeline.metrics(accept) if pipeline is not None else (b"", "text/plain; version=0.0.4")
