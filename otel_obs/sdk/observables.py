"""The asynchronous instruments, whose callbacks run before a reading."""

from __future__ import annotations

import logging
import math
import time
from _thread import get_ident
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from itertools import count
from threading import Event
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, CallbackT

from otel_obs.cells.layout import Kind, Scope
from otel_obs.cells.store import Store
from otel_obs.host.once import LogOnce
from otel_obs.host.signals import raise_interruption
from otel_obs.sdk.aggregate import AggregateSeries, Aggregator, Translate
from otel_obs.sdk.asked_callbacks import AskedCallback, Observed, together
from otel_obs.sdk.callbacks import PATIENCE_S
from otel_obs.sdk.owner import Owner

_logger = logging.getLogger("otel_obs")


class Publication:
    """What one thread is publishing."""

    def __init__(self) -> None:
        self._thread = get_ident()
        self.is_done = Event()

    def wait(self) -> None:
        """Wait for its end, for a time; not on its own thread, which a signal or a finaliser has interrupted.

        For a time only: what has interrupted that thread may itself wait for this one.
        """
        if self._thread != get_ident():
            self.is_done.wait(PATIENCE_S)


class Observable:
    """The base of observable counters, up-down counters and gauges.

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
        is_ours: Tells of a callback whether it is otel_obs' own, so that it cannot hang.
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
        is_ours: Callable[[Any], bool] = lambda callback: False,
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
        self._is_ours = is_ours
        self._once = LogOnce()
        self._aggregators: list[Aggregator] | None = None
        self._is_unpublished = False
        self._numbers, self._shown = count(1), 0
        self._publications: dict[Publication, None] = {}
        self.callbacks: list[AskedCallback] = []
        """Each is run separately: one that hangs or fails does not affect the others."""
        for callback in callbacks or ():
            self.ask(callback)
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
        for each in self.callbacks:
            each.forget()
        owner.worker.attach(self)

    def drop(self, reason: str, detail: str) -> None:
        """Count a measurement that is refused before it gets here, and log the first of its kind."""
        self._owner.drop(self.name, reason, detail)

    def recompile(self) -> None:
        """Ask for the streams again, since the readers have changed."""
        self._aggregators = None

    def detach(self) -> None:
        """Drop all series, in a child process: their cells are the parent's."""
        self._publications = {}  # of the parent's threads
        for each in self.callbacks:
            each.forget()
        for aggregator in self._aggregators or ():
            aggregator.forget()

    def pause(self) -> None:
        """Do nothing: the cells are looked up whenever a value is published."""

    def relocate(self, old: Store, store: Store, moved: Mapping[int, int]) -> None:
        """Go on in another store of the worker."""
        for aggregator in self._aggregators or ():
            aggregator.relocate(old, store, moved)

    def ask(self, callback: CallbackT) -> None:
        """Add a callback that is run at every reading."""
        function = _as_function(callback)
        self.callbacks.append(AskedCallback(self, function, callback, self._is_ours(callback)))
        if len(self.callbacks) == 2:  # the values of a single callback were not kept: run it again
            self.callbacks[0].forget()

    def ask_no_longer(self, callback: CallbackT) -> None:
        """Remove a callback that `ask` has added, and the values that it has returned."""
        self.callbacks = [each for each in self.callbacks if each.given is not callback]
        if self._aggregators is not None:
            self._show(self._known() if len(self.callbacks) > 1 else [])
        for each in self.callbacks:
            each.began_s = each.observed_s = -math.inf

    def note_failure(self, callback: AskedCallback, error: Exception) -> None:
        """Log that a callback has failed, once."""
        self._once.error(callback, "a callback of %r failed", self.name, error=error)

    def refresh(self) -> None:
        """Run the callbacks, here and now, and show every worker the values."""
        for each in self.callbacks:
            each.refresh()
        self.publish()

    def take(self, callback: AskedCallback, observed: list[Observed]) -> None:
        """Take what one callback has returned, and publish it where there is no other.

        Several are published together: each time for each of them would be quadratic.
        """
        if len(self.callbacks) == 1:
            self._show(observed)
            # Only now: a thread that sees a recent time takes the values as published.
            callback.observed_s = callback.began_s
            return
        if not callback.is_left_out:
            # Without their contexts, which would otherwise be kept alive.
            callback.observed = [Observed(value, attributes, None) for value, attributes, _ in observed]
        self._is_unpublished = True

    def publish(self) -> None:
        """Publish to all workers what several callbacks have returned since the last time.

        What another thread is publishing is published when this returns, unless that takes unusually long.
        """
        if self._is_unpublished:
            publication = Publication()
            # Before the mark is taken: a thread that no longer finds it finds the publication.
            self._publications[publication] = None
            try:
                self._is_unpublished = False
                self._publish_known()
            except BaseException:
                self._is_unpublished = True
                raise
            finally:
                self._publications.pop(publication, None)
                publication.is_done.set()
        for each in list(self._publications):
            each.wait()

    def _publish_known(self) -> None:
        number = next(self._numbers)
        began = [(each, each.began_s) for each in self.callbacks]
        self._show(self._known(), number)
        for each, began_s in began:
            each.observed_s = began_s

    def _known(self) -> list[Observed]:
        return together(
            self.callbacks, {each: each.observed for each in self.callbacks if not each.is_left_out}
        )

    def _show(self, observed: list[Observed], number: int | None = None) -> None:
        try:
            for aggregator in self.aggregators():
                if aggregator.plan.reader is None:
                    self._publish(aggregator, total(aggregator, observed), number)
        except Exception as error:
            raise_interruption(error)
            self._owner.drop(self.name, "error", repr(error))

    def show(self, attributes: Mapping[str, Any], value: float) -> None:
        """Publish *value* to all workers now, ahead of the callbacks, which will return it from now on."""
        for aggregator in self.aggregators():
            is_private = aggregator.plan.reader is not None
            if not (is_private or self._change_known(aggregator, aggregator.identify(attributes), value)):
                self.refresh()
                return

    def _change_known(self, aggregator: Aggregator, key: bytes, value: float) -> bool:
        """Set the value of a series; false if there is none."""
        is_known = False

        def change() -> None:
            nonlocal is_known
            series = aggregator.series.get(key)
            if series is not None:
                _set(series, value, aggregator.stream.kind)
                is_known = True

        # The store must not move in between: the value would be written to the cells that were left.
        self._owner.worker.exclusively(change)
        return is_known

    def _publish(self, aggregator: Aggregator, totals: dict[bytes, float], number: int | None = None) -> None:
        """Set the cells of what was observed, and drop what was not."""
        overflowed = []

        def change() -> None:
            if number is not None:
                if number < self._shown:  # another thread has read later, and was first here
                    return
                self._shown = number
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
    """The value of each series: if a view joins attribute sets, sums add up, and gauges take the last."""
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
