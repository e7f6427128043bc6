"""Compiled versions of the methods that record to cells; without a GIL, the same methods under a lock."""

from __future__ import annotations

from otel_obs import compiled
from otel_obs.host import gil
from otel_obs.prometheus._labels import LabelledMetric
from otel_obs.sdk.free_threading import under_lock


def quicken(kind: type, **paths: str) -> None:
    """Replace methods of *kind* by compiled ones, if available; without a GIL, put them under a lock.

    Args:
        kind: The class.
        paths: By the name of the method, its name in the compiled module.
    """
    for verb, path in paths.items():
        if gil.IS_ON:
            compiled.offer(kind, path, verb)
        else:
            setattr(kind, verb, under_lock(vars(kind)[verb]))
    compiled.choose()


if gil.IS_ON:
    quicken(LabelledMetric, labels="series_labels")
