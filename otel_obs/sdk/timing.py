"""How long a block or a call took: `Timer` and `track_time`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

from otel_obs.cells.attributes import AttributeMapping
from otel_obs.errors import not_a_timer
from otel_obs.host.signals import raise_interruption
from otel_obs.sdk.context_managers import AlsoAsync, Timing, wrap

P = ParamSpec("P")
R = TypeVar("R")
TakeValue = Callable[[float], object]


class RecordsSeconds(Protocol):
    """A histogram of OpenTelemetry or of the catalog, or its handle."""

    def record(self, amount: float, /) -> object:
        """Take one duration."""


class ObservesSeconds(Protocol):
    """A histogram or summary of `prometheus_client`."""

    def observe(self, amount: float, /) -> object:
        """Take one duration."""


class SetsSeconds(Protocol):
    """A gauge of any of them."""

    def set(self, amount: float, /) -> object:
        """Take the last duration."""


Timed = RecordsSeconds | ObservesSeconds | SetsSeconds
"""What can take a duration."""


class Timer(AlsoAsync, Timing):
    """Times a block, in a `with` or an `async with`, and records the seconds also where it raises.

    One timer times one block at a time.

    Args:
        instrument: A histogram or gauge in seconds: of the catalog, of OpenTelemetry, of
            `otel_obs.prometheus` or of `prometheus_client`.
        labels: The attributes to record with.

    Raises:
        DeclarationError: The instrument cannot take a duration, or does not declare the labels.
    """

    def __init__(self, instrument: Timed, labels: AttributeMapping | None = None) -> None:
        super().__init__(taker_of(instrument, dict(labels) if labels else labels))


def taker_of(instrument: Any, labels: AttributeMapping | None = None) -> TakeValue:
    """How to give *instrument* a value for *labels*.

    Raises:
        DeclarationError: The instrument cannot take a value, or does not declare the labels.
    """
    if hasattr(instrument, "bind"):
        target = instrument.bind(labels)
    elif hasattr(instrument, "labels") and labels:
        target = instrument.labels(**labels)
    else:
        target = instrument
    for verb in ("record", "observe", "set"):
        record = getattr(target, verb, None)
        if record is None:
            continue
        if target is instrument and labels:
            return lambda value: record(value, labels)
        # Looked up at each use: a handle of the catalog replaces its methods.
        return lambda value: getattr(target, verb)(value)
    raise not_a_timer(instrument)


def track_time(
    instrument: Timed, labels: AttributeMapping | Callable[..., AttributeMapping] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function, coroutine function, generator or async generator to record its seconds.

    A generator is timed from its first step to its end.

    Args:
        instrument: As of `Timer`.
        labels: The attributes, or a function that makes them from the arguments of the call.

    Returns:
        A decorator that keeps the signature.

    Raises:
        DeclarationError: As of `Timer`; with a function for labels, only what can be known before a call.
    """
    if callable(labels):
        taker_of(instrument)
        compute = labels

        def late(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Timing:
            return Timing(_computed(instrument, compute, args, kwargs))

        return lambda function: wrap(function, late)

    record = taker_of(instrument, labels)
    return lambda function: wrap(function, lambda args, kwargs: Timing(record))


def _computed(
    instrument: Any, compute: Callable[..., AttributeMapping], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> TakeValue:
    try:
        return taker_of(instrument, compute(*args, **kwargs))
    except Exception as error:
        raise_interruption(error)
        refuse(instrument, error)
        return lambda value: None


def refuse(instrument: Any, error: Exception) -> None:
    """Count what cannot be recorded, where *instrument* can count it."""
    drop = getattr(instrument, "drop", None)
    if drop is not None:
        drop("attributes", str(error))
