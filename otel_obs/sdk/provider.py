"""`MeterProvider` of the OpenTelemetry Metrics API, over cells."""

from __future__ import annotations

import logging
import time
from _thread import RLock
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import NoOpMeter

from otel_obs.cells.attributes import canonical
from otel_obs.cells.layout import Scope
from otel_obs.cells.worker import Worker
from otel_obs.errors import DeclarationError
from otel_obs.host.endings import at_exit
from otel_obs.host.once import LogOnce
from otel_obs.host.signals import raise_interruption
from otel_obs.host.weak import weakly
from otel_obs.sdk.aggregate import AggregateSeries, AggregationPlan, Aggregator
from otel_obs.sdk.callbacks import Callbacks, Refreshed
from otel_obs.sdk.exemplars import ExemplarRules
from otel_obs.sdk.inventory import Inventory
from otel_obs.sdk.losses import Losses
from otel_obs.sdk.meter import AnyInstrument, Meter
from otel_obs.sdk.observables import Observable
from otel_obs.sdk.owner import Held
from otel_obs.sdk.resources import detect, of_worker
from otel_obs.sdk.shares import StreamShares
from otel_obs.sdk.views import plans_of

_logger = logging.getLogger("otel_obs")
_once = LogOnce()


SELF_SCOPE = "otel_obs.self"
"""The scope of the metrics that otel_obs has of itself."""


class MeterProvider(metrics.MeterProvider):
    """Makes meters whose instruments record into cells.

    Args:
        metric_readers: Any of the SDK's metric readers.
        resource: What the metrics describe; by default what the SDK detects, when it is first needed.
        exemplar_filter: One of the SDK's; by default the trace-based one.
        shutdown_on_exit: Whether `shutdown` is called when the interpreter ends.
        views: The SDK's views.
        worker: This process's part in a service of several workers; by default it is alone.
        cardinality_limit: The most series of one instrument, the overflow series included.
        ignored_scopes: Names of meters that do nothing, since what they measure is measured already.
        measures_itself: Whether what is dropped or overflows is counted in metrics, too.
        is_worker: Whether another process of the service may have the same resource.
    """

    def __init__(
        self,
        metric_readers: Sequence[Any] = (),
        resource: Any = None,
        exemplar_filter: Any = None,
        shutdown_on_exit: bool = True,
        views: Sequence[Any] = (),
        *,
        worker: Worker | None = None,
        cardinality_limit: int = 2000,
        ignored_scopes: Sequence[str] = (),
        measures_itself: bool = False,
        is_worker: bool = False,
    ) -> None:
        self.worker = worker or Worker()
        self._losses = Losses()
        self.drop, self.note_overflow = self._losses.drop, self._losses.note_overflow
        self.dropped = self._losses.dropped
        """Measurements that were not recorded, by reason."""
        self.ignored_scopes = set(ignored_scopes)
        self.exemplars = ExemplarRules(exemplar_filter)
        self._shared_resource, self._is_worker = resource, is_worker
        self._resource: Any = None
        self._views = tuple(views)
        self._limit = cardinality_limit
        self.is_shut_down = False
        """Whether `shutdown` was called in this process."""
        self._meters: dict[Scope, Meter] = {}
        self._adopted: dict[Scope, Meter] = {}
        self._inventory = Inventory()
        self._callbacks = Callbacks()
        self._shares = StreamShares()
        self.functions: list[Callable[[], Sequence[Refreshed]]] = []
        """Each returns objects to refresh before a reading, besides the callbacks of instruments."""
        self._collectors: dict[Any, Any] = {}
        self._lock = RLock()
        self.worker.on_fork.append(self._after_fork_in_child)
        for reader in metric_readers:
            self._register(reader)
        if measures_itself:
            self._count_losses()
        self._forget_exit: Callable[[], None] | None = None
        if shutdown_on_exit:
            self._forget_exit = at_exit(weakly(self.shutdown))

    @property
    def resource(self) -> Any:
        """The SDK's `Resource`."""
        if self._resource is None:
            if self._shared_resource is None:
                self._shared_resource = detect()
            self._resource = of_worker(self._shared_resource) if self._is_worker else self._shared_resource
        return self._resource

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> metrics.Meter:
        """See `opentelemetry.metrics.MeterProvider.get_meter`."""
        if name in self.ignored_scopes:
            return NoOpMeter(name, version=version, schema_url=schema_url)
        if self.is_shut_down:
            message = "meter %r is asked for after the shutdown of its provider; it does nothing"
            _once.warning(("after shutdown", name), message, name)
            return NoOpMeter(name, version=version, schema_url=schema_url)
        if not name:
            _once.warning("no name", "a meter needs a name, but got %r; it does nothing", name)
            return NoOpMeter(name, version=version, schema_url=schema_url)
        scope = Scope(name, version, schema_url, canonical(attributes))
        with self._lock:
            return self._adopted.get(scope) or self._meters.setdefault(scope, Meter(self, scope))

    def adopt(self, scope: Scope, meter: Meter) -> bool:
        """Make an existing meter record here; false if this provider's meters of that scope do nothing."""
        if self.is_shut_down or scope.name in self.ignored_scopes:
            return False
        with self._lock:
            self._adopted[scope] = meter
        meter.move_to(self)
        return True

    def instruments(self) -> list[AnyInstrument]:
        """Every instrument that is in use, in the order of first use."""
        return self._inventory.used()

    def observables(self) -> list[Observable]:
        """Every asynchronous instrument."""
        meters = {id(meter): meter for meter in (*self._meters.values(), *self._adopted.values())}.values()
        return [
            each for meter in meters for each in list(meter.made.values()) if isinstance(each, Observable)
        ]

    def refresh_observables(self, older_than_s: float = 0.0) -> None:
        """Run the callbacks of every asynchronous instrument whose values are older than that."""
        observables = self.observables()
        callbacks = [callback for each in observables for callback in each.callbacks]
        self._callbacks.refresh([*callbacks, *self._every_function()], older_than_s)
        for each in observables:
            each.publish()

    def refresh_beside(self, every: Sequence[Refreshed]) -> None:
        """Refresh further objects as callbacks are: on other threads, and waiting only briefly."""
        self._callbacks.refresh(every, 0.0)

    def _every_function(self) -> list[Refreshed]:
        return [each for functions in self.functions for each in functions()]

    def forget(self, instrument: AnyInstrument) -> None:
        """Drop an instrument that is no longer in use, and its series."""
        self._inventory.remove(instrument)
        self._shares.release(instrument)
        for aggregator in instrument._aggregators or ():

            def change(aggregator: Aggregator = aggregator) -> None:
                for key in list(aggregator.series):
                    aggregator.remove(key)

            self.worker.exclusively(change)

    def aggregators_of(self, instrument: Any) -> list[Aggregator]:
        """The streams that views and readers make of *instrument*."""
        kind = type(instrument).__name__
        preferences = [
            (reader, collector.preferred[kind])
            for reader, collector in list(self._collectors.items())
            if kind in collector.preferred
        ]
        plans = plans_of(instrument, self._views, preferences)
        numbered = self._shares.number([self._complete(plan, instrument) for plan in plans], instrument)
        aggregators = [Aggregator(self.worker, plan) for plan in numbered]
        self._inventory.add(instrument, aggregators)
        return aggregators

    def _complete(self, plan: AggregationPlan, instrument: Any) -> AggregationPlan:
        deltas = [
            collector for collector in list(self._collectors.values()) if collector.is_delta(instrument)
        ]
        is_synchronous = not isinstance(instrument, Observable)
        return plan._replace(
            limit=instrument.limit or self._limit,
            has_extremes=plan.has_extremes and bool(self._collectors),
            is_watched=self.exemplars.is_always_on or bool(deltas and is_synchronous and not plan.counts_up),
        )

    def offer_exemplar(
        self,
        aggregator: Aggregator,
        series: AggregateSeries | int,
        value: float,
        attributes: Any,
        context: Any,
    ) -> None:
        """Keep the measurement as an exemplar, if the filter says so."""
        self.exemplars.offer(self._collectors, aggregator, series, value, attributes, context)

    def hold(self, measurement: Held) -> bool:
        """Hold nothing: an instrument without a stream was dropped by a view."""
        return False

    def _count_losses(self) -> None:
        meter = Meter(self, Scope(SELF_SCOPE))
        self._losses.count_in(
            meter.create_counter(
                "otel_obs_dropped_measurements", "{measurement}", "Measurements that were not recorded"
            ),
            meter.create_counter(
                "otel_obs_series_overflow", "{measurement}", "Measurements that went to an overflow series"
            ),
        )
        self._callbacks.count_in(
            meter.create_up_down_counter(
                "otel_obs_callbacks_hanging",
                "{callback}",
                "Callbacks that do not return",
            )
        )

    def _register(self, reader: Any) -> None:
        from otel_obs.sdk.collect import StreamCollector

        self._collectors[reader] = StreamCollector(reader)
        reader._set_collect_callback(self._collect)
        reader._set_meter_provider(self)

    def readers(self) -> list[Any]:
        """The readers that are attached."""
        return list(self._collectors)

    def add_metric_reader(self, metric_reader: Any) -> None:
        """Attach another reader; it sees what is recorded from now on, and the totals so far."""
        try:
            self._register(metric_reader)
        except DeclarationError as error:
            _logger.warning("%s", error)
        else:
            self._recompile()

    def remove_metric_reader(self, metric_reader: Any) -> None:
        """Detach a reader and shut it down."""
        collector = self._collectors.pop(metric_reader, None)
        if collector is None:
            _logger.warning("metric reader %r is not attached", metric_reader)
            return
        collector.release()
        metric_reader._set_collect_callback(None)
        metric_reader.shutdown()

    def _recompile(self) -> None:
        for instrument in self._inventory.used():
            instrument.recompile()

    def _collect(self, reader: Any, timeout_millis: float = 10_000) -> Any:
        collector = self._collectors[reader]
        functions = self._every_function()
        self._callbacks.ask([(each, each.refresh) for each in functions], timeout_millis / 1e3)
        observed = collector.observe(self.observables(), timeout_millis, self._callbacks.ask)
        for observable in observed:
            self._inventory.add(observable)
        readers = list(self._collectors)
        return collector.collect(self.instruments(), observed, self.resource, readers, self.exemplars)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Have every reader collect and export now.

        Raises:
            RuntimeError: A reader failed; the message names it.
        """
        self._each_reader("force_flush", timeout_millis)
        return True

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Shut every reader down, once.

        Raises:
            RuntimeError: A reader failed; the message names it.
        """
        if self.is_shut_down:
            _logger.warning("shutdown can only be called once")
            return
        self.is_shut_down = True
        if self._forget_exit is not None:
            self._forget_exit()
        self._each_reader("shutdown", timeout_millis)

    def _each_reader(self, action: str, timeout_millis: float) -> None:
        deadline_s = time.monotonic() + timeout_millis / 1e3
        failures = []
        for reader in list(self._collectors):
            try:
                left_ms = (deadline_s - time.monotonic()) * 1e3
                if left_ms <= 0:
                    raise TimeoutError(f"nothing is left of {timeout_millis} ms")
                getattr(reader, action)(timeout_millis=left_ms)
            except Exception as error:
                raise_interruption(error)
                failures.append(f"{type(reader).__name__}: {error!r}")
        if failures:
            raise RuntimeError(f"MeterProvider.{action} failed: " + "; ".join(failures))

    def close(self) -> None:
        """Shut down, with what fails logged, and let the readers go."""
        try:
            if not self.is_shut_down:
                self.shutdown()
        except RuntimeError as error:
            _logger.warning("%s", error)
        for collector in list(self._collectors.values()):
            collector.release()

    def _after_fork_in_child(self) -> None:
        # New locks: a thread that does not exist here may have held the parent's. The resource is made again,
        # since two processes must not push under the same instance id.
        self._lock = RLock()
        for meter in (*self._meters.values(), *self._adopted.values()):
            meter.after_fork_in_child()
        self._losses.start_over()
        for collector in self._collectors.values():
            collector.forget()
        self._resource, self._is_worker = None, True
