"""Meters of the global provider: they record to the current provider, and to none while there is none."""

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
"""How many measurements wait for a provider; further ones are dropped."""


class Nobody:
    """The owner of instruments without a provider; holds what is recorded while a provider is made."""

    def __init__(self) -> None:
        self.worker = Worker()
        self._held: list[Held] = []
        self._is_holding = False

    def aggregators_of(self, instrument: Any) -> list[Aggregator]:
        """None."""
        return []

    def hold(self, measurement: Held) -> bool:
        """Keep a measurement for the provider that is being made."""
        if self._is_holding and len(self._held) < MOST_HELD:
            self._held.append(measurement)
        return True

    def let_go(self, *, is_holding: bool) -> list[Held]:
        """Return and clear the held measurements; *is_holding* says whether to hold further ones."""
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
        """Do nothing: a refused measurement is refused, and counted, again when it is passed on."""


class DeferredMeters:
    """Every meter that the global provider has returned, by scope.

    An application keeps meters and instruments for as long as it runs, while providers are set up and shut
    down. So an instrument has its final class from the start, and its owner is changed by `move_to`.
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
        """Make every meter record to *provider*, and pass on what was held."""
        with self._lock:
            self._provider = provider
            for scope, meter in list(self._meters.items()):
                if not provider.adopt(scope, meter):
                    meter.move_to(self._nobody)
            held = self._nobody.let_go(is_holding=False)
        # Outside the lock: recording may take the worker's lock and run its `on_open` hooks.
        for measurement in held:
            measurement.pass_on()

    def release(self) -> None:
        """Make every meter record to no provider: theirs was shut down."""
        with self._lock:
            self._provider = None
            for meter in list(self._meters.values()):
                meter.move_to(self._nobody)

    def begin(self) -> None:
        """Hold measurements from now on: a provider is being made."""
        self._nobody.let_go(is_holding=True)

    def end(self) -> None:
        """Stop holding measurements: there is a provider, or there will be none."""
        self._nobody.let_go(is_holding=False)

    def _start_over(self) -> None:
        """In a child process, drop what was held, which the parent passes on, and make a new lock."""
        self._lock = RLock()
        self._nobody.let_go(is_holding=False)


METERS = DeferredMeters()
