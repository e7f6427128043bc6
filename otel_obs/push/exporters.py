"""What pushes to somewhere, by the names of `OTEL_METRICS_EXPORTER` and its like.

Every worker has exporters of its own, made when it first has something to send: a connection that a fork
has copied answers to two processes.
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

Claims = Callable[[str], bool]
"""Whether this worker is the one that says something, which all of them would say."""

Make = Callable[[], Any]
"""Makes an exporter."""


def readers_named(settings: Settings, claims: Claims) -> list[Any]:
    """The readers for every exporter of metrics that is installed, but `prometheus`, which is `/metrics`."""
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


def span_exporters(settings: Settings, claims: Claims) -> list[Any]:
    """The exporters of spans that are installed."""
    protocol = settings.otlp_traces_protocol or settings.otlp_protocol
    return _installed(
        settings.traces_exporters,
        lambda name: WorkerExporter(_find("traces", name, protocol)),
        "spans do not go there",
        claims,
    )


def log_exporters(settings: Settings, claims: Claims) -> list[Any]:
    """The exporters of log records that are installed."""
    protocol = settings.otlp_logs_protocol or settings.otlp_protocol
    return _installed(
        settings.logs_exporters,
        lambda name: WorkerExporter(_find("logs", name, protocol)),
        "log records do not go there",
        claims,
    )


def _installed(names: Iterable[str], make: Callable[[str], Any], otherwise: str, claims: Claims) -> list[Any]:
    """What *make* makes of each name; what cannot be had is logged once, and the rest goes on without it."""
    made = []
    for name in names:
        try:
            made.append(make(name))
        except SettingError as error:
            if claims(f"{error.variable}-{name}"):
                _logger.error("%s; %s, all else goes on", error, otherwise)
    return made


def _find(signal: str, name: str, protocol: str) -> Make:
    """The class of an exporter: imported here, since a process that is ending can import no more."""
    entry_name = _PROTOCOLS[protocol] if name == "otlp" else name
    found = list(entry_points(group=f"opentelemetry_{signal}_exporter", name=entry_name))
    try:
        make: Make = found[0].load()
    except (IndexError, ImportError):  # its package, or one that it needs, is not there
        remedy = "pip install 'otel-obs[otlp]'" if name.startswith("otlp") else _hint(signal, name)
        variable = f"OTEL_{signal.upper()}_EXPORTER"
        raise SettingError(variable, name, f"names an exporter that is not installed; {remedy}") from None
    return make


def _hint(signal: str, name: str) -> str:
    """What to do about the name of an exporter that nobody has."""
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
    """An exporter of spans or log records that each worker makes for itself, with the first of them.

    Args:
        make: Makes the exporter, in the worker that uses it.
    """

    def __init__(self, make: Make) -> None:
        self._make = make
        self._exporters: dict[int, Any] = {}

    def export(self, batch: Any, timeout_s: float = 0.0) -> Any:
        """Send a batch; at the end of a process within a time, which those of OTLP keep."""
        pid = os.getpid()
        exporter = self._exporters.get(pid)
        if exporter is None:
            finish_imports_of(getattr(self._make, "__module__", ""))
            exporter = self._exporters[pid] = self._make()
        if timeout_s and hasattr(exporter, "_timeout"):
            exporter._timeout = timeout_s
        return exporter.export(batch)

    def shutdown(self) -> None:
        """Close what this worker has made; its parent's exporter is its parent's."""
        exporter = self._exporters.pop(os.getpid(), None)
        if exporter is not None:
            exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept back here."""
        return True
