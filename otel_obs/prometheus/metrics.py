"""`prometheus_client.metrics`: six kinds of metrics; those in a registry that is shown record to cells."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import prometheus_client
from prometheus_client import metrics as their_metrics
from prometheus_client.metrics import (
    MetricWrapperBase,
    _get_use_created,
    disable_created_metrics,
    enable_created_metrics,
)

from otel_obs.prometheus._moving import constructing
from otel_obs.prometheus.context_managers import ExceptionCounter, InprogressTracker, Timer

__all__ = [
    "Counter",
    "Enum",
    "Gauge",
    "Histogram",
    "Info",
    "MetricWrapperBase",
    "Summary",
    "_get_use_created",
    "disable_created_metrics",
    "enable_created_metrics",
]


class _Ours:
    """Marks the classes of this package: their metrics record to cells without `stand_in`."""

    _records_to_cells = True


class Counter(_Ours, prometheus_client.Counter):
    """A total that only grows. See `prometheus_client.Counter`."""

    __doc__ = prometheus_client.Counter.__doc__
    if not TYPE_CHECKING:
        __init__ = constructing(prometheus_client.Counter)

    def count_exceptions(
        self, exception: type[BaseException] | tuple[type[BaseException], ...] = Exception
    ) -> ExceptionCounter:
        """Count what is raised, in a `with` or as a decorator, of coroutine functions too."""
        self._raise_if_not_observable()  # type: ignore[no-untyped-call]
        return ExceptionCounter(self, exception)


class Gauge(_Ours, prometheus_client.Gauge):
    """A value that goes up and down. See `prometheus_client.Gauge`."""

    __doc__ = prometheus_client.Gauge.__doc__
    if not TYPE_CHECKING:
        __init__ = constructing(prometheus_client.Gauge)

    def time(self) -> Timer:
        """Set the seconds of a block or a call, in a `with` or as a decorator."""
        return Timer(self, "set")  # type: ignore[no-untyped-call]

    def track_inprogress(self) -> InprogressTracker:
        """Raise the gauge by one while a block or a call runs, in a `with` or as a decorator."""
        self._raise_if_not_observable()  # type: ignore[no-untyped-call]
        return InprogressTracker(self)  # type: ignore[no-untyped-call]


class Summary(_Ours, prometheus_client.Summary):
    """The count and the sum of what is observed. See `prometheus_client.Summary`."""

    __doc__ = prometheus_client.Summary.__doc__
    if not TYPE_CHECKING:
        __init__ = constructing(prometheus_client.Summary)

    def time(self) -> Timer:
        """Observe the seconds of a block or a call, in a `with` or as a decorator."""
        return Timer(self, "observe")  # type: ignore[no-untyped-call]


class Histogram(_Ours, prometheus_client.Histogram):
    """How many observations fell below each of some bounds. See `prometheus_client.Histogram`."""

    __doc__ = prometheus_client.Histogram.__doc__
    if not TYPE_CHECKING:
        __init__ = constructing(prometheus_client.Histogram)

    def time(self) -> Timer:
        """Observe the seconds of a block or a call, in a `with` or as a decorator."""
        return Timer(self, "observe")  # type: ignore[no-untyped-call]


class Info(_Ours, prometheus_client.Info):
    """Facts, as labels of a series that is always 1. See `prometheus_client.Info`."""

    __doc__ = prometheus_client.Info.__doc__
    if not TYPE_CHECKING:
        __init__ = constructing(prometheus_client.Info)


class Enum(_Ours, prometheus_client.Enum):
    """Which of several states holds. See `prometheus_client.Enum`."""

    __doc__ = prometheus_client.Enum.__doc__
    if not TYPE_CHECKING:
        __init__ = constructing(prometheus_client.Enum)


class _MetricsModule(ModuleType):
    """This module's class: `_use_created` is a property here, so that the client's switch is the only one."""

    @property
    def _use_created(self) -> bool:
        return their_metrics._use_created

    @_use_created.setter
    def _use_created(self, value: bool) -> None:
        their_metrics._use_created = value


sys.modules[__name__].__class__ = _MetricsModule
