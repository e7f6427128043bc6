"""How the methods that record to cells become compiled ones, or exact without a GIL."""

from __future__ import annotations

from otel_obs import compiled
from otel_obs.host import gil
from otel_obs.prometheus._labels import LabelledMetric
from otel_obs.sdk.free_threading import under_lock


def quicken(kind: type, **paths: str) -> None:
    """Have methods of *kind* be the compiled ones where there are any; without a GIL they run under a lock.

    Args:
        kind: The class.
        paths: What the compiled module calls each method.
    """
    for verb, path in paths.items():
        if gil.IS_ON:
            compiled.offer(kind, path, verb)
        else:
            setattr(kind, verb, under_lock(vars(kind)[verb]))
    compiled.choose()


if gil.IS_ON:
    quicken(LabelledMetric, labels="series_labels")
