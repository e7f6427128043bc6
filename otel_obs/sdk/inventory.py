"""Which instruments a provider has in use, and which of them export the same stream."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from otel_obs.cells.layout import Kind, Scope
from otel_obs.sdk.aggregate import Aggregator

if TYPE_CHECKING:
    from otel_obs.sdk.meter import AnyInstrument

_logger = logging.getLogger("otel_obs")

_Exported = tuple[Scope, str, str, Kind]


class Inventory:
    """Tables of the used instruments; to add one costs the same, however many there are.

    Threads add to the tables at any time, without a lock. So they are read by `list`, which copies them in
    one step under the GIL.
    """

    def __init__(self) -> None:
        self._used: dict[AnyInstrument, None] = {}
        self._exporters: dict[_Exported, AnyInstrument] = {}

    def add(self, instrument: AnyInstrument, aggregators: Sequence[Aggregator] = ()) -> None:
        """Note that an instrument is used, and warn where another one exports the same stream."""
        self._used[instrument] = None
        for aggregator in aggregators:
            stream = aggregator.stream
            exported = (stream.scope, stream.name, stream.unit, stream.kind)
            other = self._exporters.setdefault(exported, instrument)
            if other is not instrument:
                _logger.warning(
                    "%r and %r both export %r; rename one with a view", other, instrument, stream.name
                )

    def remove(self, instrument: AnyInstrument) -> None:
        """Forget an instrument."""
        self._used.pop(instrument, None)
        for exported, exporter in list(self._exporters.items()):
            if exporter is instrument:
                self._exporters.pop(exported, None)

    def used(self) -> list[AnyInstrument]:
        """Every instrument that is in use, in the order of first use."""
        return list(self._used)
