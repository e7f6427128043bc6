"""`Info` and `Enum`: gauges to OpenTelemetry, whose labels say what there is to say."""

from __future__ import annotations

from _thread import RLock
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import prometheus_client
from prometheus_client.metrics_core import Metric

from otel_obs.prometheus._definition import Declaration
from otel_obs.prometheus._metric import Recorded, defining
from otel_obs.sdk.instruments import Gauge


class _State:
    """One series of several that are one to `prometheus_client`."""

    __slots__ = ("_bounds", "_cells", "_first", "_has_extremes", "_offset", "attributes")

    def __init__(self, attributes: dict[str, Any], first: float) -> None:
        self.attributes = attributes
        self._first = first
        self._cells: Any = None
        self._offset = -1
        self._bounds: tuple[float, ...] = ()
        self._has_extremes = False

    def detach(self) -> None:
        """Find the cells again at the next use."""
        self._cells = None


class Info(Recorded, prometheus_client.Info):
    """Facts, as labels of a series that is always 1. See `prometheus_client.Info`.

    Over several workers there is a series for each set of facts that one of them states.
    """

    __doc__ = prometheus_client.Info.__doc__
    _first = 1.0
    if not TYPE_CHECKING:
        __init__ = defining(prometheus_client.Info)

    def _metric_init(self) -> None:
        super()._metric_init()
        self._changing = RLock()

    def info(self, val: dict[str, str]) -> None:
        """State other facts.

        Raises:
            ValueError: One is a label of the metric, or None.
        """
        self._be_series()
        if not val.keys().isdisjoint(self._labelnames):
            raise ValueError(f"Overlapping labels for Info metric, metric: {self._labelnames} child: {val}")
        if any(value is None for value in val.values()):
            raise ValueError("Label value cannot be None")
        labels = dict(zip(self._labelnames, self._labelvalues, strict=True))
        with self._changing:
            if self.attributes == {**labels, **val}:
                return
            if not self._is_removed:
                self._definition.unmake(self)
                self._cells = None
            self.attributes = {**labels, **val}
            self._be_there()

    def collect(self) -> list[Metric]:
        """The family, merged over workers; this worker's series in the order in which they were named."""
        families = list(super().collect())
        places = {frozenset(each.attributes.items()): place for place, each in enumerate(self._each())}
        for family in families:
            family.samples.sort(key=lambda sample: places.get(frozenset(sample.labels.items()), len(places)))
        return families

    def detach(self) -> None:
        """Find the cells again at the next use, and have a new lock, since its holder may not be here."""
        super().detach()
        self._changing = RLock()

    def _declare(self) -> Declaration:
        return self._declaration(Gauge, f"{self._name}_info", merge="max")


class Enum(Recorded, prometheus_client.Enum):
    """Which of several states holds. See `prometheus_client.Enum`.

    Over several workers, every state holds that one of them is in.
    """

    __doc__ = prometheus_client.Enum.__doc__
    _states: Any
    if not TYPE_CHECKING:
        __init__ = defining(prometheus_client.Enum)

    def _metric_init(self) -> None:
        super()._metric_init()
        self._changing = RLock()
        self._handles: list[_State] = []

    def _own_handles(self) -> Iterator[Any]:
        if not self._handles:
            self._handles = [
                _State({**self.attributes, self._name: state}, float(at == 0))
                for at, state in enumerate(self._states)
            ]
        yield from self._handles

    def state(self, state: str) -> None:
        """Be in *state*.

        Raises:
            ValueError: It is no state of the metric, or the metric has labels and this is none of its series.
        """
        self._be_series()
        chosen = self._states.index(state)
        with self._changing:
            handles = list(self._own_handles())
            # The new state first: no reader ever sees none.
            for handle in sorted(handles, key=lambda handle: handle is not handles[chosen]):
                handle._first = float(handle is handles[chosen])
                if self._definition.is_open and not self._is_removed:
                    self._definition.store(handle, handle._first)

    def detach(self) -> None:
        """Find the cells again at the next use, and have a new lock, since its holder may not be here."""
        super().detach()
        self._changing = RLock()

    def _declare(self) -> Declaration:
        return self._declaration(Gauge, self._name, merge="max")
