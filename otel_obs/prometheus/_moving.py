"""How a metric of `prometheus_client` begins to record to cells that all workers share.

Only a metric in a registry that the service shows does; in any other registry it stays a metric of this
process alone. The object stays the same: its `__class__` is set to a class that derives from its former one
and from one in `RECORDED`. So `isinstance`, subclasses, references to the metric and its numbers stay valid.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial, wraps
from typing import Any

import prometheus_client
from prometheus_client import metrics as their_metrics

from otel_obs.host.signals import complete
from otel_obs.prometheus._arriving import Arrival
from otel_obs.prometheus._gauge import RecordedGauge
from otel_obs.prometheus._metric import RecordedMetric
from otel_obs.prometheus._numbers import RecordedCounter, RecordedHistogram, RecordedSummary
from otel_obs.prometheus._registry_names import shared_name
from otel_obs.prometheus._states import RecordedEnum, RecordedInfo

_logger = logging.getLogger("otel_obs")

_REGISTRY_AT, _LABELVALUES_AT, _MODE_AT = 6, 7, 8
"""The positions of these arguments in every constructor of `prometheus_client`, from version 0.19 on."""

RECORDED: dict[type[their_metrics.MetricWrapperBase], type[RecordedMetric]] = {
    prometheus_client.Counter: RecordedCounter,
    prometheus_client.Gauge: RecordedGauge,
    prometheus_client.Summary: RecordedSummary,
    prometheus_client.Histogram: RecordedHistogram,
    prometheus_client.Info: RecordedInfo,
    prometheus_client.Enum: RecordedEnum,
}
"""For each kind of metric of `prometheus_client`, the class that records to cells."""

_SAMPLING = ("_child_samples", "_multi_samples", "_samples")

_CONSTRUCTOR = "_constructor_of_the_client"
_MADE = "_recorded_by"
"""The attribute in which `recorded_class` keeps its result on the class."""


class StandingIn:
    """Whether metrics made with `prometheus_client`'s own classes record to cells, too."""

    is_on = False


ALWAYS = "_records_to_cells"
"""The attribute of the classes in `otel_obs.prometheus.metrics`, whose metrics always may."""


def constructing(kind: type[their_metrics.MetricWrapperBase]) -> Callable[..., None]:
    """Wrap the constructor of a class of `prometheus_client`, so that metrics may record to cells.

    Those do whose registry the service shows; those of `prometheus_client`'s own classes only while
    `StandingIn.is_on`.
    """
    # `__init__` may be wrapped already: take the client's own one, as a wrapper within a wrapper would choose
    # the class a second time.
    constructor: Callable[..., None] = getattr(kind.__init__, _CONSTRUCTOR, kind.__init__)

    @wraps(constructor)
    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(self, RecordedMetric) and not self.__dict__:
            self.__class__ = self._made_of  # `type(metric)(…)`: its registry decides anew, as for any metric
        registry = _registry_of(self, args, kwargs) if _may_record(self) else None
        recorded = recorded_class(type(self)) if registry is not None else None
        if registry is None or recorded is None:
            constructor(self, *args, **kwargs)
            return
        self.__class__ = recorded
        if issubclass(recorded, RecordedGauge):
            self._has_chosen_mode = "multiprocess_mode" in kwargs or len(args) > _MODE_AT
        constructor(self, *args, **kwargs)
        self._begin(registry)

    setattr(construct, _CONSTRUCTOR, constructor)
    return construct


for _kind, _recorded in RECORDED.items():
    # For `type(metric)(…)`, which also works where the client's own constructors were not replaced.
    _recorded.__init__ = constructing(_kind)  # type: ignore[method-assign]


def _may_record(metric: Any) -> bool:
    return not isinstance(metric, RecordedMetric) and (StandingIn.is_on or hasattr(metric, ALWAYS))


def may_move(metric: Any) -> bool:
    """Whether *metric* does not record to shared cells yet, and may once its registry is shown."""
    if isinstance(metric, RecordedMetric):
        return metric._is_displaced
    return isinstance(metric, their_metrics.MetricWrapperBase) and _may_record(metric)


def _registry_of(self: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """The shared name of the registry that a new metric is for; None if that is of this process alone."""
    if kwargs.get("_labelvalues") or len(args) > _LABELVALUES_AT:
        return None
    registry = (
        args[_REGISTRY_AT] if len(args) > _REGISTRY_AT else kwargs.get("registry", prometheus_client.REGISTRY)
    )
    return shared_name(registry)


def recorded_class(kind: type) -> type[RecordedMetric] | None:
    """The class for metrics of *kind* that record to cells, made once for each; None if there can be none."""
    if _MADE not in vars(kind):
        setattr(kind, _MADE, _make_class(kind))
    recorded: type[RecordedMetric] | None = vars(kind)[_MADE]
    return recorded


def _make_class(kind: type) -> type[RecordedMetric] | None:
    base = next((each for each in kind.__mro__ if each in RECORDED), None)
    if base is None:
        return None
    namespace = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "_made_of": kind,
        "_makes_samples": _makes_samples(kind, base),
    }
    bases = (RECORDED[base],) if kind is base else (kind, RECORDED[base])
    try:
        made: type[RecordedMetric] = type(kind)(kind.__name__, bases, namespace)
    except TypeError as error:
        _logger.warning("%r of prometheus_client is of this process alone: %s", kind, error)
        return None
    return made


def _makes_samples(kind: type, base: type) -> bool:
    """Whether a class between *kind* and *base* overrides how samples are made."""
    between = kind.__mro__[: kind.__mro__.index(base)]
    return any(
        name in vars(each) for each in between for name in ("_child_samples", "_multi_samples", "_samples")
    )


def move_in(metric: Any, registry: str) -> None:
    """Make a metric record to cells, beginning with what it has counted so far.

    Args:
        metric: Of `prometheus_client`, or a `RecordedMetric` that was displaced by another of its name.
        registry: The name by which every worker knows its registry.
    """
    if isinstance(metric, RecordedMetric):
        if metric._is_displaced:
            metric.begin_again(registry)
        return
    kind = recorded_class(type(metric))
    if kind is None:
        return
    # Under the metric's own lock, so that no `labels()` of the client makes a series in between.
    with metric.__dict__.get("_lock") or nullcontext():
        children = metric.__dict__.get("_metrics", {})
        complete(partial(_go_in, metric, kind, registry, children, Arrival()))


def _go_in(
    metric: Any, kind: type[RecordedMetric], registry: str, children: dict[Any, Any], arrival: Arrival
) -> None:
    # The children go first: `_metrics` is a property of the new class.
    metric.__dict__.pop("_metrics", None)
    metric.__class__ = kind
    if issubclass(kind, RecordedGauge):
        metric._has_chosen_mode = metric._multiprocess_mode != "all"
    metric.move_in(registry, children, arrival)
