"""What pushes to somewhere, by the names of `OTEL_METRICS_EXPORTER` and `OTEL_TRACES_EXPORTER`.

Every worker has exporters of its own, made when it first has something to send: a connection that a fork
has copied answers to two processes.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from types import FrameType
from typing import Any

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricReader

from otel_obs.errors import SettingError
from otel_obs.host import forks
from otel_obs.host.endings import hand_on, is_free
from otel_obs.host.threads import BackgroundThread
from otel_obs.host.weak import WeakObjects
from otel_obs.settings import Settings

_logger = logging.getLogger("otel_obs")

EXIT_MS = 5_000
"""How long the end of a process waits for its last push; containers are killed after 10 s."""
_PROTOCOLS = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}
_DELTAS: dict[str, tuple[type, ...]] = {
    "cumulative": (),
    "delta": (Counter, Histogram, ObservableCounter),
    "lowmemory": (Counter, Histogram),
}
_SUMS = (Counter, UpDownCounter, Histogram, ObservableCounter, ObservableUpDownCounter, ObservableGauge)

Make = Callable[[], Any]


def push_readers(settings: Settings) -> list[Any]:
    """The readers for every exporter of metrics that is installed, but `prometheus`, which is `/metrics`."""
    names = [name for name in settings.metrics_exporters if name != "prometheus"]
    return _installed(names, lambda name: _reader(name, settings), "metrics are not pushed there")


def _reader(name: str, settings: Settings) -> Any:
    protocol = settings.otlp_metrics_protocol or settings.otlp_protocol
    made = _find("metrics", name, protocol)
    if name.startswith("otlp"):
        return PushReader(
            made, _temporality(settings), _aggregation(settings), settings.export_interval_ms / 1e3
        )
    exporter = made()
    if isinstance(exporter, MetricReader):
        return exporter
    return PushReader(
        lambda: exporter,
        exporter._preferred_temporality,
        exporter._preferred_aggregation,
        settings.export_interval_ms / 1e3,
    )


def span_exporters(settings: Settings) -> list[Any]:
    """The exporters of spans that are installed."""
    protocol = settings.otlp_traces_protocol or settings.otlp_protocol
    return _installed(
        settings.traces_exporters,
        lambda name: WorkerSpanExporter(_find("traces", name, protocol)),
        "spans do not go there",
    )


def _installed(names: Iterable[str], make: Callable[[str], Any], otherwise: str) -> list[Any]:
    """What *make* makes of each name; what cannot be had is logged, and the rest goes on without it."""
    made = []
    for name in names:
        try:
            made.append(make(name))
        except SettingError as error:
            _logger.error("%s; %s, all else goes on", error, otherwise)
    return made


def _find(signal: str, name: str, protocol: str) -> Make:
    """The class of an exporter: imported here, since a process that is ending can import no more."""
    entry_name = _PROTOCOLS[protocol] if name == "otlp" else name
    found = list(entry_points(group=f"opentelemetry_{signal}_exporter", name=entry_name))
    try:
        make: Make = found[0].load()
    except (IndexError, ImportError):  # its package, or one that it needs, is not there
        remedy = "pip install 'otel-obs[otlp]'" if name.startswith("otlp") else "install its package"
        variable = f"OTEL_{signal.upper()}_EXPORTER"
        raise SettingError(variable, name, f"names an exporter that is not installed; {remedy}") from None
    return make


def _temporality(settings: Settings) -> dict[type, Any]:
    deltas = _DELTAS[settings.otlp_temporality]
    return {
        kind: AggregationTemporality.DELTA if kind in deltas else AggregationTemporality.CUMULATIVE
        for kind in _SUMS
    }


def _aggregation(settings: Settings) -> dict[type, Any]:
    if settings.otlp_histograms == "explicit_bucket_histogram":
        return {}
    from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

    return {Histogram: ExponentialBucketHistogramAggregation()}


class PushReader(MetricReader):
    """Collects this worker's numbers at intervals and when it ends, and pushes them.

    A process pushes from its first record on, and without one unless it has started others: the first process
    of a server with workers measures nothing itself.

    Args:
        make: Makes the exporter, in the worker that uses it.
        temporality: What the exporter prefers, by class of instrument.
        aggregation: What the exporter prefers, by class of instrument.
        interval_s: Seconds between two pushes.
    """

    def __init__(
        self, make: Make, temporality: dict[type, Any], aggregation: dict[type, Any], interval_s: float
    ) -> None:
        super().__init__(preferred_temporality=temporality, preferred_aggregation=aggregation)
        self._make = make
        self._interval_s = interval_s
        self._inherited: list[Any] = []
        self._has_forked = False
        self._worker: Any = None
        self._failed = False
        self._thread = BackgroundThread(self._run, "otel_obs_push")
        self._reset()
        forks.after_in_parent(self._note_fork)
        forks.after_in_child(self._start_over)
        _readers.add(self)

    def _reset(self) -> None:
        self._exporter: Any = None
        self._pushing = threading.Lock()
        self._is_last = self._is_closed = False
        self._due_s = time.monotonic() + self._interval_s

    def _set_meter_provider(self, meter_provider: Any) -> None:
        super()._set_meter_provider(meter_provider)
        self._worker = meter_provider.worker
        self._worker.on_open.append(self.start)
        self.start()

    def start(self) -> None:
        """Begin to push, if that has not begun."""
        if not self._is_last:
            self._thread.start()

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(max(self._due_s - time.monotonic(), 0)):
            self._due_s = time.monotonic() + self._interval_s
            self._push()
        if self._is_last:
            self._push()

    def _push(self) -> None:
        if self._worker.opened is None and (self._has_forked or _has_spawned()):
            return
        try:
            self.collect()
            self._failed = False
        except Exception as error:
            # The exporters log what an endpoint answers; this is something else, and goes on like it began.
            if not self._failed:
                _logger.warning("metrics could not be pushed: %r", error)
            self._failed = True

    def _receive_metrics(self, metrics_data: Any, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            with self._pushing:
                if self._exporter is None:
                    self._exporter = self._make()
                self._exporter.export(metrics_data, timeout_millis=timeout_millis)
        finally:
            detach(token)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Push what there is now."""
        self.collect(timeout_millis=timeout_millis)
        return True

    def finish(self) -> None:
        """Begin the last push, and do not wait for it."""
        self._is_last = True
        self._thread.stop()

    def shutdown(self, timeout_millis: float = EXIT_MS, **kwargs: Any) -> None:
        """Push once more, waiting no longer than a container's end allows, and stop."""
        if self._is_closed:
            return
        self._is_closed = True
        pushes = self._thread.is_alive
        self.finish()
        if pushes:
            self._thread.end(min(timeout_millis, EXIT_MS) / 1e3)
        else:
            self._push()
        if self._exporter is not None:
            self._exporter.shutdown()

    def _note_fork(self) -> None:
        """In the parent: the first process of a server measures nothing itself."""
        self._has_forked = True
        if self._worker is not None and self._worker.opened is None:
            self._thread.stop()

    def _start_over(self) -> None:
        """Begin anew, in a child; the parent's exporter is kept: closing it could disturb the parent."""
        if self._exporter is not None:
            self._inherited.append(self._exporter)
        self._reset()
        self._has_forked = True


def _has_spawned() -> bool:
    """Whether multiprocessing has executed workers for this process."""
    return any(f"multiprocessing.popen_{how}" in sys.modules for how in ("spawn_posix", "forkserver"))


class WorkerSpanExporter:
    """An exporter of spans that each worker makes for itself, with its first spans.

    Args:
        make: Makes the exporter, in the worker that uses it.
    """

    def __init__(self, make: Make) -> None:
        self._make = make
        self._exporters: dict[int, Any] = {}

    def export(self, spans: Any) -> Any:
        """Send spans."""
        pid = os.getpid()
        exporter = self._exporters.get(pid)
        if exporter is None:
            exporter = self._exporters[pid] = self._make()
        return exporter.export(spans)

    def shutdown(self) -> None:
        """Close what this worker has made; its parent's exporter is its parent's."""
        exporter = self._exporters.get(os.getpid())
        if exporter is not None:
            exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept back here."""
        return True


def at_sigterm(flush: Callable[[], None]) -> Callable[[], None]:
    """Have *flush* called when SIGTERM ends the process, which runs no exit handlers.

    Servers handle SIGTERM themselves and put this in no one's way; uvicorn raises the signal again when it
    has stopped, and means what was there before it.

    Returns:
        Takes it back, where it is the handler still, or makes it do nothing.
    """
    flushes, present = [flush], signal.getsignal(signal.SIGTERM)

    def end(number: int, frame: FrameType | None) -> None:
        try:
            for each in flushes:
                each()
        finally:
            hand_on(number, frame, present)

    def take_back() -> None:
        flushes.clear()
        if _is_main_thread() and signal.getsignal(signal.SIGTERM) is end:
            signal.signal(signal.SIGTERM, present)

    if _is_main_thread() and is_free(present):
        signal.signal(signal.SIGTERM, end)
    return take_back


def _is_main_thread() -> bool:
    """Only the main thread may change handlers."""
    return threading.current_thread() is threading.main_thread()


def begin_last_pushes() -> None:
    """Have every reader of this process begin its last push."""
    for reader in _readers.living():
        reader.finish()


_readers: WeakObjects[PushReader] = WeakObjects()
