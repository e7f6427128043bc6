"""The interface between instruments and their provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from otel_obs.cells.worker import Worker
from otel_obs.sdk.aggregate import AggregateSeries, Aggregator


class Held(NamedTuple):
    """A measurement that waits for a provider.

    Attributes:
        record: Records it, once there is a provider; takes the value, the attributes and the context.
        value: The measured value.
        attributes: As they were given.
        context: As it was given.
    """

    record: Callable[[Any, Any, Any], object]
    value: float
    attributes: Mapping[str, Any] | None
    context: Any

    def pass_on(self) -> None:
        """Record it. Never raises."""
        self.record(self.value, self.attributes, self.context)


class Owner(Protocol):
    """What an instrument needs of its provider."""

    worker: Worker

    def aggregators_of(self, instrument: Any) -> list[Aggregator]:
        """The streams that the provider's views make of *instrument*."""

    def hold(self, measurement: Held) -> bool:
        """Keep a measurement of an instrument without streams; False if it is not kept."""

    def offer_exemplar(
        self,
        aggregator: Aggregator,
        series: AggregateSeries | int,
        value: float,
        attributes: Any,
        context: Any,
    ) -> None:
        """Keep the measurement as an exemplar of a series, or of the series at an offset."""

    def note_overflow(self, stream: str, limit: int) -> None:
        """Count a measurement that went to the overflow series, and log the first of its stream."""

    def drop(self, instrument: str, reason: str, detail: str) -> None:
        """Count a measurement that is not recorded, and log the first of its kind."""
