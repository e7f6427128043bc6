"""The OpenTelemetry instrument that a metric records to, made when it is first needed."""

from __future__ import annotations

import functools
import math
import time
import weakref
from _thread import RLock
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from otel_obs.cells.exemplar import pack
from otel_obs.cells.layout import CELL_BYTES, Scope, Stream
from otel_obs.cells.store import StoreFullError
from otel_obs.host import forks
from otel_obs.host.once import LogOnce
from otel_obs.host.weak import WeakObjects
from otel_obs.prometheus import _service
from otel_obs.prometheus._asked_gauge import AskedGauge
from otel_obs.sdk import Counter, Gauge, Histogram, MeterProvider
from otel_obs.sdk.aggregate import AggregationPlan, Aggregator

SCOPE = "otel_obs.prometheus"
"""The instrumentation scope of every metric that is made here."""

REGISTRY_KEY = "prometheus.registry"
"""The scope attribute that holds the registry's name: two registries may have a metric of the same name."""

TYPE_KEY = "prometheus.type"
"""The scope attribute for types that OpenTelemetry does not have: info, stateset, summary."""

PID = "pid"
PER_WORKER = f"per_worker:{PID}"
"""The merge rule under which each worker's value is a series of its own, with this label."""

LATEST_OR_SUM = "latest_or_sum"
"""The merge rule of a gauge without an explicit mode: the value set last, or, where no worker has called
`set`, the sum of what the workers have counted up and down."""

SdkInstrument = Counter | Gauge | Histogram


class ClientOwner(Protocol):
    """A metric: either one series, or a parent with a series for each set of labels."""

    def make_series(self) -> None:
        """Make every series of this process in the cells."""

    def leave(self) -> None:
        """Record to cells of the metric's own, beginning with what this process has counted."""

    def handles(self) -> Iterator[Any]:
        """Every object that holds cells and an offset."""

    def forget_lock(self) -> None:
        """Make a new lock: in a child process, the thread that holds the old one may not exist."""


class ClientDeclaration(NamedTuple):
    """A metric as an instrument: its name has no `_total`, its unit is in UCUM."""

    kind: type[SdkInstrument]
    type: str
    name: str
    unit: str
    help: str
    merge: str = "latest"
    bounds: tuple[float, ...] | None = None

    @property
    def exposed_name(self) -> str:
        """The name of the family, with the suffix of its type."""
        return f"{self.name}_total" if self.type == "counter" else self.name


class _Making:
    """The lock under which instruments are made. `Worker.lock` is never taken while it is held."""

    lock = RLock()


class Definition:
    """Connects one metric with its OpenTelemetry instrument and the streams that it exports.

    Args:
        declaration: Kind, name, unit and help of the instrument.
        owner: The metric; referenced weakly.
        registry: The name by which every worker knows its registry; "" is the default one.
    """

    def __init__(self, declaration: ClientDeclaration, owner: ClientOwner, registry: str = "") -> None:
        self.declaration = declaration
        self.registry = registry
        self.asked: WeakObjects[AskedGauge] = WeakObjects()
        """The functions of series on which `set_function` was called."""
        self.takes_place_of: Definition | None = None
        """The definition of its name before it, until that has given way."""
        self._once = LogOnce()
        self._owner = weakref.ref(owner)
        self._provider: MeterProvider | None = None
        self._instrument: SdkInstrument | None = None

    @property
    def instrument(self) -> Any:
        """The instrument on the current provider; made anew if the provider has changed."""
        forks.check()
        provider = _service.current().provider
        if self._provider is not provider:
            with _Making.lock:
                if self._provider is not provider:
                    self._instrument = self._make(provider)
                    self._provider = provider
        return self._instrument

    @property
    def scope(self) -> Scope:
        """The instrumentation scope. It is part of the stream's identity in every worker."""
        pairs = {}
        if self.registry:
            pairs[REGISTRY_KEY] = self.registry
        if self.declaration.type in ("info", "stateset", "summary"):
            pairs[TYPE_KEY] = self.declaration.type
        return Scope(SCOPE, attributes=tuple(sorted(pairs.items())))

    @property
    def is_open(self) -> bool:
        """Whether this process has opened its store; if not, series wait for the first record."""
        service = _service.known()
        return service is not None and service.provider.worker.opened is not None

    def open(self) -> None:
        """Open the store, which makes the series of all metrics, in the order in which they were defined."""
        if not self.is_open:
            worker = _service.current().provider.worker

            def change() -> None:
                worker.store()

            # `Worker.on_open` runs when the lock is released: it has the inventory make every series.
            worker.exclusively(change)

    @property
    def limit(self) -> float:
        """The most series that the metric may have in this process, the overflow series included."""
        limits = [aggregator.plan.limit for aggregator in self._aggregators()] if self.is_open else []
        return min(limits, default=math.inf)

    def note_overflow(self) -> None:
        """Count a label set beyond the limit."""
        self.instrument._owner.note_overflow(self.declaration.name, int(self.limit))

    def streams(self) -> list[Stream]:
        """The exported streams: one, unless views make none or several of the instrument."""
        return [aggregator.stream for aggregator in self._aggregators()]

    def _aggregators(self) -> list[Aggregator]:
        return [each for each in self.instrument.aggregators() if each.plan.reader is None]

    def locate(self, handle: Any) -> tuple[Any, int]:
        """The cells and the offset of a series whose handle does not know them.

        That is a series outside the shared cells, one without a fast path, or one that a view has dropped, or
        has given other cells: for these it is cells that are never read.
        """
        for aggregator in self._aggregators():
            if not self.has_own_cells(aggregator.stream):
                continue
            series = aggregator.series.get(aggregator.identify(handle.attributes))
            if series is not None:
                return series.cells, series.offset
        return self.blank(), 0

    def has_own_cells(self, stream: Stream) -> bool:
        """Whether a series of *stream* has the cells that the metric knows; a view may give it others."""
        plain = self.plain_stream()
        return (stream.kind, stream.bounds) == (plain.kind, plain.bounds)

    def note_left_behind(self) -> None:
        """Say once that a view leaves out what was counted before: buckets cannot be divided anew."""
        streams = self.streams()
        if streams and not any(map(self.has_own_cells, streams)):
            name = self.declaration.name
            self._once.warning(
                name,
                "a view gives %r another aggregation, to which what it had counted before cannot be carried:"
                " that is left out; call configure() with the view before the metric counts",
                name,
            )

    def store(self, handle: Any, value: float) -> None:
        """Set a gauge's series."""
        instrument = self.instrument
        if handle._cells is None:
            instrument.make(handle, value)
        instrument.store(handle, value)

    @property
    def bounds(self) -> tuple[float, ...]:
        """The bounds of the buckets as declared; none for what is no histogram."""
        return self.declaration.bounds or ()

    def plain_stream(self) -> Stream:
        """The stream of the metric as declared, without views."""
        declared = self.declaration
        return Stream(declared.kind._kind, declared.name, "", declared.help, bounds=self.bounds)

    def blank(self) -> Any:
        """Cells that belong to no series: what is written to them is never read."""
        return memoryview(bytearray(CELL_BYTES * self.plain_stream().cells)).cast("d")

    def apply(self, cells: Any, value: float) -> None:
        """Record *value* to cells that `blank` has made."""
        worker = _service.current().provider.worker
        Aggregator(worker, AggregationPlan(self.plain_stream())).store(cells, 0, value)

    def restart(self, handle: Any, created_s: float) -> None:
        """Restart a series at its initial values, counting since *created_s*, in Unix seconds."""
        self._change(handle, lambda aggregator, key: aggregator.restart(key, created_s))

    def keep_exemplar(self, handle: Any, value: float, labels: Mapping[str, str]) -> None:
        """Keep an exemplar with *labels* for a measurement of *value*."""
        now_s = time.time()

        def keep(aggregator: Aggregator, key: bytes) -> None:
            series = aggregator.series.get(key)
            if series is not None:
                aggregator.keep_exemplar(series, value, pack(value, now_s, labels))

        self._change(handle, keep)

    def unmake(self, handle: Any) -> None:
        """Remove a series."""
        if self._instrument is not None:
            self._instrument.remove(handle.attributes)

    def hide(self, handle: Any) -> None:
        """Remove this worker's part of a series; other workers keep theirs."""
        if self._instrument is not None:
            self._instrument.remove(handle.attributes, until_s=-math.inf)

    def end(self, attributes: Mapping[str, str]) -> None:
        """Remove the series with at least these attributes in every worker, also those unknown to this one.

        Only gauges whose latest value counts can be removed so.
        """
        if not self.declaration.merge.startswith("latest"):
            return
        at_s = time.monotonic()
        for aggregator in self._aggregators():
            # Not `remove_matching` of the instrument: it would also remove a series that another thread
            # makes right now, and whose handle stays in use.
            end = functools.partial(aggregator.end, aggregator.identify(attributes), at_s)
            try:
                aggregator.worker.exclusively(end)
            except StoreFullError as error:
                self.instrument._owner.drop(self.declaration.name, "full", f"a series cannot end: {error}")

    def _change(self, handle: Any, change: Callable[[Aggregator, bytes], None]) -> None:
        for aggregator in self._aggregators():
            key = aggregator.identify(handle.attributes)
            aggregator.worker.exclusively(functools.partial(change, aggregator, key))

    def note_failure(self, name: str, error: Exception) -> None:
        """Log that a function of the metric has failed, once."""
        self._once.warning(
            name, "the function of the gauge %r failed; its series is not exposed", name, error=error
        )

    def displace(self) -> None:
        """Give way to another metric of the name in the registry; this one records to its own cells."""
        owner = self._owner()
        if owner is not None:
            owner.leave()
        self.withdraw()

    def make_series(self) -> None:
        """Make every series that the metric has in this process."""
        owner = self._owner()
        if owner is not None:
            owner.make_series()

    def detach(self) -> None:
        """Make the metric look up its cells again: in a child process, or on another provider."""
        owner = self._owner()
        if owner is not None:
            owner.forget_lock()
            for handle in owner.handles():
                handle.detach()

    def withdraw(self) -> None:
        """Remove the metric's series and its instrument."""
        instrument, self._instrument = self._instrument, None
        provider, self._provider = self._provider, None
        if provider is not None and instrument is not None:
            provider.forget(instrument)
        self.detach()

    def _make(self, provider: MeterProvider) -> SdkInstrument:
        """Make the instrument without a meter, which would change or refuse some names of Prometheus."""
        declared = self.declaration
        instrument = declared.kind(
            owner=provider,
            name=declared.name,
            unit=declared.unit,
            description=declared.help,
            scope=self.scope,
            merge=declared.merge,
            boundaries=declared.bounds,
        )
        instrument.bound_elsewhere = self._handles
        return instrument

    def _handles(self) -> Iterable[Any]:
        owner = self._owner()
        return () if owner is None else list(owner.handles())


def _after_fork_in_child() -> None:
    # The thread that held the parent's lock does not exist here.
    _Making.lock = RLock()


forks.after_in_child(_after_fork_in_child)
