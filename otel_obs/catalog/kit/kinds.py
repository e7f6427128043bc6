"""The kinds of metrics, as the rows of the catalog declare them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from otel_obs.catalog.kit.handles import (
    CounterHandle,
    GaugeHandle,
    HistogramHandle,
    LevelHandle,
    MetricHandle,
    RecordMethod,
    UpDownCounterHandle,
)
from otel_obs.catalog.kit.keeping import HandleT
from otel_obs.catalog.kit.metric import Metric
from otel_obs.cells.layout import Kind
from otel_obs.host.signals import raise_interruption
from otel_obs.sdk.context_managers import ExceptionCounting, InProgress, Timing
from otel_obs.sdk.timing import Timer


class RecordsAmount(Protocol):
    """A recording method of a metric."""

    def __call__(
        self, amount: float, attributes: Mapping[str, Any] | None = None, context: Any = None
    ) -> None:
        """Record *amount* for *attributes*."""


LevelT = TypeVar("LevelT", bound=LevelHandle)
Measurements = Iterable[tuple[float, Mapping[str, Any]]]
ObserveCallback = Callable[[], Measurements]


class CounterMetric(Metric[CounterHandle]):
    """A sum that only grows."""

    _kind = Kind.COUNTER
    _handle_type = CounterHandle

    add: RecordsAmount
    """`add(amount, attributes=None)`: see `opentelemetry.metrics.Counter.add`."""

    def inc(self, amount: float = 1) -> None:
        """Add to the series without labels."""
        self.add(amount)

    def count_exceptions(
        self, exception: type[BaseException] | tuple[type[BaseException], ...] = Exception
    ) -> ExceptionCounting:
        """Count what is raised to the series without labels, in a `with` or as a decorator."""
        return ExceptionCounting(self.inc, exception)

    def _delegate(self, record: RecordMethod) -> None:
        self.add = record


class LevelMetric(Metric[LevelT]):
    """A value that goes up and down; these methods record to the series without labels."""

    def inc(self, amount: float = 1) -> None:
        """Add to the value of this worker."""
        self.bind().inc(amount)

    def dec(self, amount: float = 1) -> None:
        """Subtract from the value of this worker."""
        self.bind().dec(amount)

    def set_to_current_time(self) -> None:
        """Set the Unix time, in seconds."""
        self.bind().set_to_current_time()

    def track_inprogress(self) -> InProgress:
        """Add one while a block or a call runs, in a `with` or as a decorator."""
        return self.bind().track_inprogress()

    def time(self) -> Timing:
        """Set the seconds of a block or a call, in a `with` or as a decorator."""
        return self.bind().time()

    def set_function(self, f: Callable[[], float]) -> None:
        """Take the value from *f*, which each worker calls for itself; all other methods do nothing then."""
        self.bind().set_function(f)


class UpDownCounterMetric(LevelMetric[UpDownCounterHandle]):
    """A sum that grows and shrinks."""

    _kind = Kind.UPDOWN
    _handle_type = UpDownCounterHandle

    add: RecordsAmount
    """`add(amount, attributes=None)`: see `opentelemetry.metrics.UpDownCounter.add`."""

    def set(self, amount: float) -> None:
        """Set this worker's part of the series without labels."""
        self.bind().set(amount)

    def _delegate(self, record: RecordMethod) -> None:
        self.add = record


class HistogramMetric(Metric[HistogramHandle]):
    """A distribution."""

    _kind = Kind.HISTOGRAM
    _handle_type = HistogramHandle

    record: RecordsAmount
    """`record(amount, attributes=None)`: see `opentelemetry.metrics.Histogram.record`."""

    def observe(self, amount: float) -> None:
        """Record to the series without labels."""
        self.record(amount)

    def time(self) -> Timer:
        """Time a block to the series without labels, in a `with` or an `async with`."""
        return Timer(self)

    def _delegate(self, record: RecordMethod) -> None:
        self.record = record


class GaugeMetric(LevelMetric[GaugeHandle]):
    """A value that is set."""

    _kind = Kind.GAUGE
    _handle_type = GaugeHandle

    set: RecordsAmount
    """`set(amount, attributes=None)`: see `opentelemetry.metrics.Gauge.set`."""

    def _delegate(self, record: RecordMethod) -> None:
        self.set = record


class ObservableMetric(Metric[HandleT]):
    """A metric whose values come from callbacks; nothing is exposed before a callback has returned one."""

    _create_name: str

    def __init__(self, family: str, help: str, **options: Any) -> None:
        self._callbacks: list[_Observing] = []
        super().__init__(family, help, **options)

    def observe(self, callback: ObserveCallback) -> None:
        """Call *callback* at every collection; it returns pairs of a number and its attributes."""
        if callback in [each.callback for each in self._callbacks]:
            return
        made, observing = self._made, _Observing(self, callback)
        self._callbacks.append(observing)
        # An instrument that this call makes has the callback already, from `_create`.
        instrument = self._instrument()
        if instrument is not None and made is not None:
            instrument.ask(observing)

    def unobserve(self, callback: ObserveCallback) -> None:
        """Stop calling *callback*, and remove its values."""
        for each in [each for each in self._callbacks if each.callback == callback]:
            self._callbacks.remove(each)
            if self._made is not None:
                self._made.ask_no_longer(each)

    def refresh(self) -> None:
        """Call the callbacks now, so that the next scrape shows their present values."""
        instrument = self._instrument()
        if instrument is not None:
            instrument.refresh()

    def _reset(self) -> None:
        super()._reset()
        if self._callbacks:
            self._instrument()

    def _delegate(self, record: RecordMethod) -> None:
        """An observable metric has no recording method."""

    def _create(self, meter: Any) -> Any:
        named = self.named
        return getattr(meter, self._create_name)(
            named.name,
            callbacks=list(self._callbacks),
            unit=named.unit,
            description=self.declaration.help,
            merge=named.merge,
            translate=self.translate,
            is_ours=self._is_ours,
        )

    def _is_ours(self, observing: _Observing) -> bool:
        """Whether a callback is otel_obs' own; one of the application may hang, and gets a time limit."""
        return str(getattr(observing.callback, "__module__", "")).startswith("otel_obs.")


class _Observing:
    """Adapts a callback of the catalog to the signature that OpenTelemetry's instruments call."""

    def __init__(self, metric: ObservableMetric[Any], callback: ObserveCallback) -> None:
        self._metric, self.callback = metric, callback

    def __call__(self, _options: object) -> Iterable[Any]:
        from opentelemetry.metrics import Observation

        try:
            for value, attributes in self.callback():
                yield Observation(value, attributes)
        except Exception as error:
            raise_interruption(error)
            self._metric.drop("callback", f"a callback raised {error!r}")


class ObservableGaugeMetric(ObservableMetric[MetricHandle]):
    """A value that callbacks give."""

    _kind = Kind.GAUGE
    _create_name = "create_observable_gauge"


class ObservableCounterMetric(ObservableMetric[MetricHandle]):
    """A total that callbacks give."""

    _kind = Kind.COUNTER
    _create_name = "create_observable_counter"
