"""Several instruments of one worker that export the same stream: each has cells of its own."""

from __future__ import annotations

from typing import Any

from otel_obs.cells.layout import Stream
from otel_obs.sdk.aggregate import AggregationPlan


class StreamShares:
    """Numbers the instruments whose streams are equal, so that none hides another.

    Views may give two instruments one name, and two kinds of instrument may have one. On a page, their series
    are one, and added up.
    """

    def __init__(self) -> None:
        self._owners: dict[Stream, list[Any]] = {}

    def number(self, plans: list[AggregationPlan], instrument: Any) -> list[AggregationPlan]:
        """*plans* with the part of its stream that each is; an instrument that asks again gets the same."""
        seen: dict[Stream, int] = {}
        numbered = []
        for plan in plans:
            if plan.reader is None:
                nth = seen[plan.stream] = seen.get(plan.stream, -1) + 1
                stream = plan.stream._replace(part=self._part(plan.stream, instrument, nth))
                plan = plan._replace(stream=stream)
            numbered.append(plan)
        return numbered

    def _part(self, stream: Stream, instrument: Any, nth: int) -> int:
        owners = self._owners.setdefault(stream, [])
        own = [at for at, owner in enumerate(owners) if owner is instrument]
        if len(own) > nth:
            return own[nth]
        if None in owners:
            free = owners.index(None)
            owners[free] = instrument
            return free
        owners.append(instrument)
        return len(owners) - 1

    def release(self, instrument: Any) -> None:
        """Let another instrument have the parts of one that is gone."""
        for aggregator in instrument._aggregators or ():
            owners = self._owners.get(aggregator.stream._replace(part=0), [])
            owners[:] = [None if owner is instrument else owner for owner in owners]
