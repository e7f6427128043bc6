"""What a metric records to: an OpenTelemetry instrument of its own, made when it is first needed."""

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
"""The scope's attribute that tells metrics of one name apart, which stand in several registries."""

TYPE_KEY = "prometheus.type"
"""The scope's attribute that names a type which OpenTelemetry does not have."""

PID = "pid"
PER_WORKER = f"per_worker:{PID}"
"""The merge rule under which each worker's value is a series, told apart by this label."""

LATEST_OR_SUM = "latest_or_sum"
"""The merge rule of a gauge whose mode nobody has chosen: what was set last, or else the sum of what was
counted up and down."""

SdkInstrument = Counter | Gauge | Histogram


class ClientOwner(Protocol):
    """A metric: itself a series, or with one for each set of labels."""

    def make_series(self) -> None:
        """Make every series of this process, at what it holds."""

    def leave(self) -> None:
        """Be a metric of `prometheus_client`'s again, with what this process has counted."""

    def handles(self) -> Iterator[Any]:
        """Everything that knows cells."""

    def forget_lock(self) -> None:
        """Have a new lock, since the old one's holder may not be in this process."""


class ClientDeclaration(NamedTuple):
    """A metric as an instrument: `http_requests` and no `_total`, with its unit by UCUM."""

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
    """One thread makes an instrument; whoever holds the lock waits for no worker's."""

    lock = RLock()


class Definition:
    """One metric's part in OpenTelemetry.

    Args:
        declaration: What it is.
        owner: The metric.
        registry: The name by which every worker knows its registry; "" is the default one.
    """

    def __init__(self, declaration: ClientDeclaration, owner: ClientOwner, registry: str = "") -> None:
        self.declaration = declaration
        self.registry = registry
        self.asked: WeakObjects[AskedGauge] = WeakObjects()
        """The functions that give series their values."""
        self._once = LogOnce()
        self._owner = weakref.ref(owner)
        self._provider: MeterProvider | None = None
        self._instrument: SdkInstrument | None = None

    @property
    def instrument(self) -> Any:
        """The instrument on the provider that is configured."""
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
        """The instrumentation scope, which is part of what other workers know the metric by."""
        pairs = {}
        if self.registry:
            pairs[REGISTRY_KEY] = self.registry
        if self.declaration.type in ("info", "stateset", "summary"):
            pairs[TYPE_KEY] = self.declaration.type
        return Scope(SCOPE, attributes=tuple(sorted(pairs.items())))

    @property
    def is_open(self) -> bool:
        """Whether this process has recorded something, so that new series go beside that at once."""
        service = _service.known()
        return service is not None and service.provider.worker.opened is not None

    def open(self) -> None:
        """Have all series of this process be there, in the order in which they were named."""
        if not self.is_open:
            worker = _service.current().provider.worker

            def change() -> None:
                worker.store()

            worker.exclusively(change)

    @property
    def limit(self) -> float:
        """The most series that the metric may have in this process, the overflow series included."""
        limits = [aggregator.plan.limit for aggregator in self._aggregators()] if self.is_open else []
        return min(limits, default=math.inf)

    def note_overflow(self) -> None:
        """Count a label set that is one too many."""
        self.instrument._owner.note_overflow(self.declaration.name, int(self.limit))

    def streams(self) -> list[Stream]:
        """What is exported: one stream, unless views make others of it."""
        return [aggregator.stream for aggregator in self._aggregators()]

    def _aggregators(self) -> list[Aggregator]:
        return [each for each in self.instrument.aggregators() if each.plan.reader is None]

    def locate(self, handle: Any) -> tuple[Any, int]:
        """Where the values of a series are that has no place among the shared cells, or no fast way there."""
        for aggregator in self._aggregators():
            series = aggregator.series.get(aggregator.identify(handle.attributes))
            if series is not None:
                return series.cells, series.offset
        return self.blank(), 0

    def store(self, handle: Any, value: float) -> None:
        """Set a gauge's series."""
        instrument = self.instrument
        if handle._cells is None:
            instrument.make(handle, value)
        instrument.store(handle, value)

    def plain_stream(self) -> Stream:
        """The stream that the metric is where no views make others of it."""
        declared = self.declaration
        return Stream(declared.kind._kind, declared.name, "", declared.help, bounds=declared.bounds or ())

    def blank(self) -> Any:
        """Cells that belong to no series: what is written to them is never read."""
        return memoryview(bytearray(CELL_BYTES * self.plain_stream().cells)).cast("d")

    def apply(self, cells: Any, value: float) -> None:
        """Record to cells that `blank` has made."""
        worker = _service.current().provider.worker
        Aggregator(worker, AggregationPlan(self.plain_stream())).store(cells, 0, value)

    def restart(self, handle: Any, created_s: float) -> None:
        """Have a series begin anew."""
        self._change(handle, lambda aggregator, key: aggregator.restart(key, created_s))

    def keep_exemplar(self, handle: Any, value: float, labels: Mapping[str, str]) -> None:
        """Keep *labels* as what a measurement came with."""
        now_s = time.time()

        def keep(aggregator: Aggregator, key: bytes) -> None:
            series = aggregator.series.get(key)
            if series is not None:
                aggregator.keep_exemplar(series, value, pack(value, now_s, labels))

        self._change(handle, keep)

    def unmake(self, handle: Any) -> None:
        """Take a series away."""
        if self._instrument is not None:
            self._instrument.remove(handle.attributes)

    def hide(self, handle: Any) -> None:
        """Take this worker's part of a series away."""
        if self._instrument is not None:
            self._instrument.remove(handle.attributes, until_s=-math.inf)

    def end(self, attributes: Mapping[str, str]) -> None:
        """Take other workers' series with at least these attributes away, which this one may not know."""
        if not self.declaration.merge.startswith("latest"):
            return
        at_s = time.monotonic()
        for aggregator in self._aggregators():
            # Not `remove_matching` of the instrument: what another thread makes just now has its handle.
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
        """Another metric of the name stands in the registry now: this one's numbers are its own."""
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
        """Have the metric find its cells again, in a child process or on another provider."""
        owner = self._owner()
        if owner is not None:
            owner.forget_lock()
            for handle in owner.handles():
                handle.detach()

    def withdraw(self) -> None:
        """Take the metric's series away."""
        instrument, self._instrument = self._instrument, None
        provider, self._provider = self._provider, None
        if provider is not None and instrument is not None:
            provider.forget(instrument)
        self.detach()

    def _make(self, provider: MeterProvider) -> SdkInstrument:
        """Make the instrument; a meter would change or refuse some of Prometheus' names."""
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
    _Making.lock = RLock()


forks.after_in_child(_after_fork_in_child)
