"""What instruments need of whoever made them."""

from __future__ import annotations

from typing import Any, Protocol

from otel_obs.cells.worker import Worker
from otel_obs.sdk.aggregate import Aggregator, Series


class Owner(Protocol):
    """What an instrument needs of its provider."""

    worker: Worker

    def aggregators_of(self, instrument: Any) -> list[Aggregator]:
        """The streams that the provider's views make of *instrument*."""

    def offer_exemplar(
        self, aggregator: Aggregator, series: Series | int, value: float, attributes: Any, context: Any
    ) -> None:
        """Keep the measurement as an exemplar of a series, or of the series at an offset."""

    def note_overflow(self, stream: str, limit: int) -> None:
        """Count a measurement that went to the overflow series, and log the first of its stream."""

    def drop(self, instrument: str, reason: str, detail: str) -> None:
        """Count a measurement that is not recorded, and log the first of its kind."""
