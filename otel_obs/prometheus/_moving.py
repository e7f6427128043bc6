"""How a metric of `prometheus_client` comes to record to cells that all workers share.

A metric in a registry that the service shows does; one in any other registry stays what it is, of this
process alone. The metric stays the same object: only its class becomes one that derives from the class
which it was made of and from the one of ours, so that `isinstance`, subclasses, references that somebody
holds, and what was counted so far are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any

import prometheus_client
from prometheus_client import metrics as theirs

from otel_obs.prometheus._gauge import RecordedGauge
from otel_obs.prometheus._metric import Recorded
from otel_obs.prometheus._numbers import RecordedCounter, RecordedHistogram, RecordedSummary
from otel_obs.prometheus._sharing import shared_name
from otel_obs.prometheus._states import RecordedEnum, RecordedInfo

_logger = logging.getLogger("otel_obs")

_REGISTRY_AT, _LABELVALUES_AT, _MODE_AT = 6, 7, 8
"""The places of these arguments in every constructor of `prometheus_client`, from version 0.19 on."""

RECORDED: dict[type[theirs.MetricWrapperBase], type[Recorded]] = {
    prometheus_client.Counter: RecordedCounter,
    prometheus_client.Gauge: RecordedGauge,
    prometheus_client.Summary: RecordedSummary,
    prometheus_client.Histogram: RecordedHistogram,
    prometheus_client.Info: RecordedInfo,
    prometheus_client.Enum: RecordedEnum,
}
"""What stands for each kind of metric of `prometheus_client`."""

_SAMPLING = ("_child_samples", "_multi_samples", "_samples")

_CONSTRUCTOR = "_constructor_of_the_client"
_MADE = "_recorded_by"
"""The attribute of a class that has the one whose metrics record to cells."""


class StandingIn:
    """Whether metrics that are made by `prometheus_client`'s own names record to cells, too."""

    is_on = False


ALWAYS = "_records_to_cells"
"""The attribute of the classes that an application uses by our own names."""


def constructing(kind: type[theirs.MetricWrapperBase]) -> Callable[..., None]:
    """The constructor of a class of `prometheus_client`, for metrics of which some record to cells.

    Those do that stand in a registry which the service shows; of the classes of `prometheus_client` itself
    where they are stood in for.
    """
    # That of the client, also where it is stood in for already: one of ours within another would choose the
    # class again.
    constructor: Callable[..., None] = getattr(kind.__init__, _CONSTRUCTOR, kind.__init__)

    @wraps(constructor)
    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(self, Recorded) and not self.__dict__:
            self.__class__ = self._made_of  # `type(metric)(…)`: what it is follows from where it stands
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


def _may_record(metric: Any) -> bool:
    return not isinstance(metric, Recorded) and (StandingIn.is_on or hasattr(metric, ALWAYS))


def may_move(metric: Any) -> bool:
    """Whether *metric* is to record to cells from now on, where it stands in a registry that is shown."""
    if isinstance(metric, Recorded):
        return metric._is_displaced
    return isinstance(metric, theirs.MetricWrapperBase) and _may_record(metric)


def _registry_of(self: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """The name of the registry over workers that a new metric is for; None where it stays its process's."""
    if kwargs.get("_labelvalues") or len(args) > _LABELVALUES_AT:
        return None
    registry = (
        args[_REGISTRY_AT] if len(args) > _REGISTRY_AT else kwargs.get("registry", prometheus_client.REGISTRY)
    )
    return shared_name(registry)


def recorded_class(kind: type) -> type[Recorded] | None:
    """The class of metrics that an application makes of *kind* and that record to cells; None if none can."""
    if _MADE not in vars(kind):
        setattr(kind, _MADE, _make_class(kind))
    recorded: type[Recorded] | None = vars(kind)[_MADE]
    return recorded


def _make_class(kind: type) -> type[Recorded] | None:
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
        made: type[Recorded] = type(kind)(kind.__name__, bases, namespace)
    except TypeError as error:
        _logger.warning("%r of prometheus_client is of this process alone: %s", kind, error)
        return None
    return made


def _makes_samples(kind: type, base: type) -> bool:
    """Whether a class between *kind* and *base* says itself what the samples are."""
    between = kind.__mro__[: kind.__mro__.index(base)]
    return any(
        name in vars(each) for each in between for name in ("_child_samples", "_multi_samples", "_samples")
    )


def move_in(metric: Any, registry: str) -> None:
    """Have a metric record to cells, with what it has counted so far.

    Args:
        metric: Of `prometheus_client`, or one of ours that has lost its place to another of its name.
        registry: The name by which every worker knows its registry.
    """
    if isinstance(metric, Recorded):
        if metric._is_displaced:
            metric.begin_again(registry)
        return
    kind = recorded_class(type(metric))
    if kind is None:
        return
    with metric.__dict__.get("_lock") or nullcontext():
        children = metric.__dict__.pop("_metrics", {})
        metric.__class__ = kind
        if issubclass(kind, RecordedGauge):
            metric._has_chosen_mode = metric._multiprocess_mode != "all"
        metric.move_in(registry, children)
