"""One process's numbers in shared memory, and everybody's merged into one view."""

from otel_obs.host import forks

__all__ = ["forks"]
