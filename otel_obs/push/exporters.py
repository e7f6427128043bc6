"""Makes exporters and push readers by the names in `OTEL_METRICS_EXPORTER` and its counterparts.

Every worker makes its own exporters, when it first has something to send: two processes would share a
connection that was opened before a fork, and mix their data in it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from typing import Any

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
from otel_obs.host.imports import finish_imports_of
from otel_obs.push.reader import PushReader
from otel_obs.settings import Settings
from otel_obs.settings.parsers import nearest

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

MayLog = Callable[[str], bool]
"""Called with a name; true in the one worker that is to log a message which all workers would log."""

Make = Callable[[], Any]
"""Makes an exporter."""


def readers_named(settings: Settings, claims: MayLog) -> list[Any]:
    """Make the readers for the named exporters of metrics, except `prometheus`, which is `/metrics`."""
    names = [name for name in settings.metrics_exporters if name != "prometheus"]
    return _installed(names, lambda name: _reader(name, settings), "metrics are not pushed there", claims)


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


def span_exporters(settings: Settings, claims: MayLog) -> list[Any]:
    """Make the named exporters of spans."""
    protocol = settings.otlp_traces_protocol or settings.otlp_protocol
    return _installed(
        settings.traces_exporters,
        lambda name: WorkerExporter(_find("traces", name, protocol)),
        "spans do not go there",
        claims,
    )


def log_exporters(settings: Settings, claims: MayLog) -> list[Any]:
    """Make the named exporters of log records."""
    protocol = settings.otlp_logs_protocol or settings.otlp_protocol
    return _installed(
        settings.logs_exporters,
        lambda name: WorkerExporter(_find("logs", name, protocol)),
        "log records do not go there",
        claims,
    )


def _installed(names: Iterable[str], make: Callable[[str], Any], otherwise: str, claims: MayLog) -> list[Any]:
    """Make each named exporter; one that is not installed is logged once a service, and left out."""
    made = []
    for name in names:
        try:
            made.append(make(name))
        except SettingError as error:
            if claims(f"{error.variable}-{name}"):
                _logger.error("%s; %s, all else goes on", error, otherwise)
    return made


def _find(signal: str, name: str, protocol: str) -> Make:
    """Import the class of an exporter, in advance: a process that is ending can no longer import."""
    entry_name = _PROTOCOLS[protocol] if name == "otlp" else name
    found = list(entry_points(group=f"opentelemetry_{signal}_exporter", name=entry_name))
    try:
        make: Make = found[0].load()
    except (IndexError, ImportError):  # its package, or one that it needs, is not there
        remedy = "pip install 'otel-obs[otlp]'" if name.startswith("otlp") else hint(signal, name)
        variable = f"OTEL_{signal.upper()}_EXPORTER"
        raise SettingError(variable, name, f"names an exporter that is not installed; {remedy}") from None
    return make


def hint(signal: str, name: str) -> str:
    """The remedy for the name of an exporter that is not installed."""
    group = f"opentelemetry_{signal}_exporter"
    known = {"console", "none", "otlp", *(entry.name for entry in entry_points(group=group))}
    if signal == "metrics":
        known.add("prometheus")
    meant = "" if name in known else nearest(name, known)
    return f"did you mean {meant}?" if meant else "install its package"


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


class WorkerExporter:
    """An exporter of spans or log records that each process makes for itself at its first batch.

    Args:
        make: Makes the exporter; called in the process that uses it.
    """

    def __init__(self, make: Make) -> None:
        self._make = make
        # By process id: a fork copies the exporter, but its connection and threads are the parent's.
        self._exporters: dict[int, Any] = {}

    def export(self, batch: Any, timeout_s: float = 0.0) -> Any:
        """Send a batch. *timeout_s*, for the end of a process, is kept by the OTLP exporters; 0 is theirs."""
        pid = os.getpid()
        exporter = self._exporters.get(pid)
        if exporter is None:
            # Another thread may still be importing what the exporter needs.
            finish_imports_of(getattr(self._make, "__module__", ""))
            exporter = self._exporters[pid] = self._make()
        if timeout_s and hasattr(exporter, "_timeout"):
            exporter._timeout = timeout_s
        return exporter.export(batch)

    def shutdown(self) -> None:
        """Shut down this process's exporter, and leave the one inherited from the parent alone."""
        exporter = self._exporters.pop(os.getpid(), None)
        if exporter is not None:
            exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Do nothing: batches are exported at once."""
        return True
