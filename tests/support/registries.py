"""The default registry of `prometheus_client`, which all tests of a process share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase


@contextlib.contextmanager
def nobodys_registry() -> Iterator[None]:
    """Without the metrics that other tests, or applications that these import, have in it.

    An application's family goes before ours of the same name. They come back: a module is imported once.
    """
    others = [each for each in list(REGISTRY._collector_to_names) if isinstance(each, MetricWrapperBase)]
    for each in others:
        REGISTRY.unregister(each)
    try:
        yield
    finally:
        for each in others:
            with contextlib.suppress(ValueError):  # the name is taken by now
                REGISTRY.register(each)
