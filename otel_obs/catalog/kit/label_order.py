"""The order in which a scrape shows the labels of the catalog's metrics."""

from __future__ import annotations

from typing import Any

from otel_obs.catalog import metrics
from otel_obs.catalog.kit.metric import SCOPE, STANDARD_SCOPE, Metric, declared
from otel_obs.cells.layout import Stream


class DeclaredOrder:
    """Returns the attributes of a catalog stream in the declared order; () for any other stream."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric[Any]] = {}
        self._learnt = 0
        self._has_every_group = False

    def __call__(self, stream: Stream) -> tuple[str, ...]:
        """The attributes of *stream*, in order."""
        if stream.scope.name not in (SCOPE, STANDARD_SCOPE):
            return ()
        metric = self._find(stream.name)
        accepts = metric.named.accepts.values() if metric is not None else ()
        return tuple(dict.fromkeys(exposed.name for exposed in accepts if exposed.name))

    def _find(self, name: str) -> Metric[Any] | None:
        if name not in self._metrics:
            self._learn()
        if name not in self._metrics and not self._has_every_group:
            self._has_every_group = True
            list(metrics())  # another worker has used a group that this one has not imported
            self._learn()
        return self._metrics.get(name)

    def _learn(self) -> None:
        if len(declared) != self._learnt:
            self._metrics = {metric.named.name.lower(): metric for metric in declared}
            self._learnt = len(declared)
