"""Meters that were given out for good: they record to whichever provider there is, and to none before."""

from __future__ import annotations

from _thread import RLock
from collections.abc import Mapping
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import NoOpMeter

from otel_obs.cells.attributes import canonical
from otel_obs.cells.layout import Scope
from otel_obs.cells.worker import Worker
from otel_obs.host import forks
from otel_obs.sdk.aggregate import AggregateSeries, Aggregator
from otel_obs.sdk.meter import Meter
from otel_obs.sdk.owner import Held
from otel_obs.sdk.provider import MeterProvider

MOST_HELD = 10_000
"""Measurements that wait for a provider; further ones are dropped."""


class Nobody:
    """Owns the instruments of meters that have no provider, and holds what is recorded while one is made."""

    def __init__(self) -> None:
        self.worker = Worker()
        self._held: list[Held] = []
        self._is_holding = False

    def aggregators_of(self, instrument: Any) -> list[Aggregator]:
        """None."""
        return []

    def hold(self, measurement: Held) -> bool:
        """Keep a measurement for the provider that is to come."""
        if self._is_holding and len(self._held) < MOST_HELD:
            self._held.append(measurement)
        return True

    def let_go(self, *, is_holding: bool) -> list[Held]:
        """What was held; *is_holding* says whether to hold what comes from now on."""
        held, self._held = self._held, []
        self._is_holding = is_holding
        return held

    def offer_exemplar(
        self,
        aggregator: Aggregator,
        series: AggregateSeries | int,
        value: float,
        attributes: Any,
        context: Any,
    ) -> None:
        """There are no series."""

    def note_overflow(self, stream: str, limit: int) -> None:
        """There are no streams."""

    def drop(self, instrument: str, reason: str, detail: str) -> None:
        """What is refused is refused again as it is passed on."""


class DeferredMeters:
    """Every meter that the global provider has given out, by scope.

    An application keeps its meters and instruments for as long as it lives; providers come and go. So an
    instrument is an object of its own kind from the start, and is told to whom it records.
    """

    def __init__(self) -> None:
        self._nobody = Nobody()
        self._provider: MeterProvider | None = None
        self._meters: dict[Scope, Meter] = {}
        self._lock = RLock()
        forks.after_in_child(self._start_over)

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> metrics.Meter:
        """See `opentelemetry.metrics.MeterProvider.get_meter`."""
        scope = Scope(name, version, schema_url, canonical(attributes))
        with self._lock:
            known = self._meters.get(scope)
            if known is not None:
                return known
            meter: metrics.Meter
            if self._provider is not None:
                meter = self._provider.get_meter(name, version, schema_url, attributes)
            else:
                meter = Meter(self._nobody, scope) if name else NoOpMeter(name)
            if isinstance(meter, Meter):
                self._meters[scope] = meter
            return meter

    def move_to(self, provider: MeterProvider) -> None:
        """Have every meter record to *provider* from now on, and what was held too."""
        with self._lock:
            self._provider = provider
            for scope, meter in list(self._meters.items()):
                if not provider.adopt(scope, meter):
                    meter.move_to(self._nobody)
            held = self._nobody.let_go(is_holding=False)
        for measurement in held:
            measurement.pass_on()

    def release(self) -> None:
        """Have every meter record to nobody: its provider has ended."""
        with self._lock:
            self._provider = None
            for meter in list(self._meters.values()):
                meter.move_to(self._nobody)

    def begin(self) -> None:
        """Hold what is recorded from now on: a provider is being made."""
        self._nobody.let_go(is_holding=True)

    def end(self) -> None:
        """Hold nothing any more: there is a provider, or there will be none."""
        self._nobody.let_go(is_holding=False)

    def _start_over(self) -> None:
        """What was held is the parent's to pass on."""
        self._lock = RLock()
        self._nobody.let_go(is_holding=False)


METERS = DeferredMeters()
