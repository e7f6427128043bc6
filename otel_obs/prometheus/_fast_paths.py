"""Compiled versions of the methods that record to cells; without a GIL, the Python ones are under a lock."""

from __future__ import annotations

from otel_obs import compiled
from otel_obs.host import gil
from otel_obs.prometheus._labels import LabelledMetric
from otel_obs.sdk.free_threading import under_lock


def quicken(kind: type, **paths: str) -> None:
    """Put methods of *kind* under the lock if there is no GIL; replace them by compiled ones, if available.

    Args:
        kind: The class.
        paths: By the name of the method, its name in the compiled module.
    """
    if not gil.IS_ON:
        for verb in paths:
            setattr(kind, verb, under_lock(vars(kind)[verb]))
    for verb, path in paths.items():
        compiled.offer(kind, path, verb)
    compiled.choose()


compiled.offer(LabelledMetric, "series_labels", "labels")
compiled.choose()
