"""The asynchronous instruments: callbacks that are run when somebody reads."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry import metrics
from opentelemetry.context import get_current
from opentelemetry.metrics import CallbackOptions, CallbackT

from otel_obs.cells.layout import Kind, Scope
from otel_obs.cells.store import Store
from otel_obs.host.once import LogOnce
from otel_obs.host.signals import raise_interruption
from otel_obs.sdk.aggregate import AggregateSeries, Aggregator, Translate
from otel_obs.sdk.owner import Owner

_logger = logging.getLogger("otel_obs")


class Observed(NamedTuple):
    """One measurement of a callback."""

    value: float
    attributes: Mapping[str, Any] | None
    context: Any


class Observable:
    """What the three have in common.

    Args:
        owner: The provider.
        name: As OpenTelemetry names it, lower case.
        callbacks: Called at every reading with `CallbackOptions`; generators are sent them.
        unit: UCUM.
        description: One sentence.
        scope: The instrumentation scope of the meter.
        merge: A gauge's rule over workers.
        translate: Turns the attributes that are given into those of the exported series.
        limit: The most series; None takes the provider's.
        is_ours: Tells whether the callbacks are otel_obs' own, so that none can hang.
    """

    _kind: Kind

    def __init__(
        self,
        owner: Owner,
        name: str,
        callbacks: Sequence[CallbackT] | None,
        unit: str,
        description: str,
        scope: Scope,
        *,
        merge: str = "latest",
        translate: Translate | None = None,
        limit: int | None = None,
        is_ours: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = name
        self.unit = unit
        self.description = description
        self.instrumentation_scope = scope
        self.merge = merge
        self.translate = translate
        self.limit = limit
        self.boundaries = None
        self._owner = owner
        self._callbacks = [_as_function(callback) for callback in callbacks or ()]
        self._is_ours = is_ours
        self._once = LogOnce()
        self._aggregators: list[Aggregator] | None = None
        self.observed_s = -math.inf
        owner.worker.attach(self)

    def aggregators(self) -> list[Aggregator]:
        """The streams of this instrument, found at its first use, when the views are known."""
        while (known := self._aggregators) is None:
            owner = self._owner
            aggregators = owner.aggregators_of(self)
            # As in `Recorder.aggregators`.
            if self._aggregators is None and self._owner is owner:
                self._aggregators = aggregators
        return known

    def move_to(self, owner: Owner) -> None:
        """Report to another provider from now on."""
        self._owner, self._aggregators = owner, None
        self.observed_s = -math.inf
        owner.worker.attach(self)

    def drop(self, reason: str, detail: str) -> None:
        """Count a measurement that is refused before it gets here, and log the first of its kind."""
        self._owner.drop(self.name, reason, detail)

    def recompile(self) -> None:
        """Ask for the streams again, since the readers have changed."""
        self._aggregators = None

    def detach(self) -> None:
        """Forget everything that lies in the parent's cells."""
        self.observed_s = -math.inf
        for aggregator in self._aggregators or ():
            aggregator.forget()

    def pause(self) -> None:
        """Every measurement asks for its cells as it is."""

    def relocate(self, old: Store, store: Store, moved: Mapping[int, int]) -> None:
        """Go on in another store of the worker."""
        for aggregator in self._aggregators or ():
            aggregator.relocate(old, store, moved)

    def observe(self, options: CallbackOptions | None = None) -> list[Observed]:
        """Run the callbacks; one that fails is logged, and what it has given so far counts."""
        observed = []
        for callback in self._callbacks:
            try:
                for observation in callback(options or CallbackOptions()):
                    if math.isfinite(observation.value):
                        context = observation.context or get_current()
                        observed.append(Observed(observation.value, observation.attributes, context))
                    else:
                        self._owner.drop(self.name, "not_finite", f"{observation.value!r} is not finite")
            except Exception as error:
                raise_interruption(error)
                self._once.error(callback, "a callback of %r failed", self.name, error=error)
        return observed

    @property
    def is_ours(self) -> bool:
        """Whether the application's code is not asked."""
        return not self._callbacks or self._is_ours()

    def refresh(self) -> None:
        """Run the callbacks and show every worker the values now."""
        began_s = time.monotonic()
        try:
            observed = self.observe()
            for aggregator in self.aggregators():
                if aggregator.plan.reader is None:
                    self._publish(aggregator, total(aggregator, observed))
        except Exception as error:
            raise_interruption(error)
            self._owner.drop(self.name, "error", repr(error))
        # Only now: until then it is not known that there are values.
        self.observed_s = began_s

    def show(self, attributes: Mapping[str, Any], value: float) -> None:
        """Let every worker see *value* now, which the callbacks are going to give from now on."""
        for aggregator in self.aggregators():
            if aggregator.plan.reader is None:
                series = aggregator.series.get(aggregator.identify(attributes))
                if series is None:
                    self.refresh()
                    return
                _set(series, value, aggregator.stream.kind)

    def leave_out(self) -> None:
        """Show no values until the next refresh."""
        for aggregator in self.aggregators():
            if aggregator.plan.reader is None and aggregator.series:
                self._publish(aggregator, {})

    def _publish(self, aggregator: Aggregator, totals: dict[bytes, float]) -> None:
        """Set the cells of what was observed, and drop what was not."""
        overflowed = []

        def change() -> None:
            for key, value in totals.items():
                series = aggregator.find(key, value)
                _set(series, value, aggregator.stream.kind)
                if series.key != key:
                    overflowed.append(key)
            for key in [key for key in list(aggregator.series) if key not in totals]:
                aggregator.remove(key)

        self._owner.worker.exclusively(change)
        for _ in overflowed:
            self._owner.note_overflow(aggregator.stream.name, aggregator.plan.limit)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def total(aggregator: Aggregator, observed: Iterable[Observed]) -> dict[bytes, float]:
    """What one reading says of each series: sums add up what a view makes one, gauges take the last."""
    is_sum = aggregator.stream.kind in (Kind.COUNTER, Kind.UPDOWN)
    totals: dict[bytes, float] = {}
    for value, attributes, _ in observed:
        key = aggregator.identify(attributes)
        totals[key] = value + totals.get(key, 0) if is_sum else value
    return totals


def _set(series: AggregateSeries, value: float, kind: Kind) -> None:
    value = float(value)
    if kind is Kind.GAUGE:
        now_s = time.monotonic()
        series.cells[series.offset + 1] = now_s
    series.cells[series.offset] = value


def _as_function(callback: Any) -> Callable[[CallbackOptions], Iterable[Any]]:
    if not isinstance(callback, Generator):
        return callback  # type: ignore[no-any-return]
    next(callback)

    def send(options: CallbackOptions) -> Iterable[Any]:
        try:
            return callback.send(options)  # type: ignore[no-any-return]
        except StopIteration:
            return ()

    return send


class ObservableCounter(Observable, metrics.ObservableCounter):
    """A total that callbacks report. See `opentelemetry.metrics.ObservableCounter`."""

    _kind = Kind.COUNTER


class ObservableUpDownCounter(Observable, metrics.ObservableUpDownCounter):
    """A sum that callbacks report. See `opentelemetry.metrics.ObservableUpDownCounter`."""

    _kind = Kind.UPDOWN


class ObservableGauge(Observable, metrics.ObservableGauge):
    """A value that callbacks report. See `opentelemetry.metrics.ObservableGauge`."""

    _kind = Kind.GAUGE
