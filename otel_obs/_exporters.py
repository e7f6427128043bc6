"""Readers that push to somewhere, by the names of `OTEL_METRICS_EXPORTER`."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from otel_obs.errors import SettingError
from otel_obs.settings import Settings

_GROUP = "opentelemetry_metrics_exporter"
_PROTOCOLS = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}


def push_readers(settings: Settings) -> list[Any]:
    """The SDK's readers for every exporter but `prometheus`, which is `/metrics`.

    Raises:
        SettingError: An exporter is not installed.
    """
    return [_reader(name, settings) for name in settings.metrics_exporters if name != "prometheus"]


def _reader(name: str, settings: Settings) -> Any:
    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

    entry_name = (
        _PROTOCOLS[settings.otlp_metrics_protocol or settings.otlp_protocol] if name == "otlp" else name
    )
    found = list(entry_points(group=_GROUP, name=entry_name))
    if not found:
        remedy = "pip install 'otel-obs[otlp]'" if name.startswith("otlp") else "install its package"
        raise SettingError(
            "OTEL_METRICS_EXPORTER", name, f"names an exporter that is not installed; {remedy}"
        )
    made = found[0].load()()
    return made if isinstance(made, MetricReader) else PeriodicExportingMetricReader(made)
