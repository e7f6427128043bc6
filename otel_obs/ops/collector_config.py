"""Configurations of the OpenTelemetry Collector, which forwards the data of services to stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

COLLECTOR_VERSION = "0.158.0"
COLLECTOR_IMAGE = f"otel/opentelemetry-collector-contrib:{COLLECTOR_VERSION}"
GRPC_PORT, HTTP_PORT, SELF_PORT, HEALTH_PORT = 4317, 4318, 8888, 13133
ANYWHERE = "0.0.0.0"

Config = dict[str, Any]


class CollectorPorts(NamedTuple):
    """The address and ports of a collector: OTLP, its own metrics, and its health check."""

    address: str = ANYWHERE
    grpc: int = GRPC_PORT
    http: int = HTTP_PORT
    metrics: int = SELF_PORT
    health: int = HEALTH_PORT


EVERYWHERE = CollectorPorts()


def otlp_receiver(address: str = ANYWHERE, grpc: int = GRPC_PORT, http: int = HTTP_PORT) -> Config:
    """Both protocols of OTLP, by default on their usual ports."""
    return {
        "otlp": {
            "protocols": {
                "grpc": {"endpoint": f"{address}:{grpc}"},
                "http": {"endpoint": f"{address}:{http}"},
            }
        }
    }


def scraping(job: str, targets: Sequence[str], interval: str = "15s", kept: str = "") -> Config:
    """A receiver that scrapes a service at fixed addresses.

    Args:
        job: The service.
        targets: Its addresses, as host:port.
        interval: The time between scrapes.
        kept: A regular expression of the samples that are kept; "" for all.
    """
    scrape: Config = {
        "job_name": job,
        "scrape_interval": interval,
        "scrape_protocols": ["OpenMetricsText1.0.0", "PrometheusText0.0.4"],
        "static_configs": [{"targets": list(targets)}],
    }
    if kept:
        keep = {"source_labels": ["__name__"], "regex": kept, "action": "keep"}
        scrape["metric_relabel_configs"] = [keep]
    return {"prometheus": {"config": {"scrape_configs": [scrape]}}}


def otlp_exporter(url: str, signal: str = "", *, is_kept_on_disk: bool = False) -> Config:
    """An exporter to a store, with retries and a queue.

    Args:
        url: The base address of the store; with *signal*, the whole address for that signal.
        signal: `logs` or `traces`, where the store does not have OTLP's standard paths.
        is_kept_on_disk: Whether the queue survives a restart of the collector, in `file_storage/queue`.
    """
    queue: Config = {"enabled": True, "queue_size": 5000}
    if is_kept_on_disk:
        queue["storage"] = "file_storage/queue"
    return {
        f"{signal}_endpoint" if signal else "endpoint": url,
        "retry_on_failure": {
            "enabled": True,
            "initial_interval": "5s",
            "max_interval": "30s",
            "max_elapsed_time": "30m",
        },
        "sending_queue": queue,
    }


def collector_config(
    pipelines: Mapping[str, Mapping[str, Sequence[str]]],
    receivers: Mapping[str, Any],
    exporters: Mapping[str, Any],
    processors: Mapping[str, Any] | None = None,
    queue_directory: str = "",
    ports: CollectorPorts = EVERYWHERE,
) -> Config:
    """A whole configuration, including a memory limit, a health check, and the collector's own metrics.

    Args:
        pipelines: By signal, `receivers`, `processors` beyond the memory limiter, and `exporters`.
        receivers: By name.
        exporters: By name.
        processors: By name; the memory limiter is added, and comes first in every pipeline.
        queue_directory: The directory of queues; "" for memory.
        ports: Its address and ports for health and its own metrics; *receivers* have their own.
    """
    extensions: Config = {"health_check": {"endpoint": f"{ports.address}:{ports.health}"}}
    if queue_directory:
        extensions["file_storage/queue"] = {"directory": queue_directory, "create_directory": True}
    limiter = {"check_interval": "1s", "limit_percentage": 80, "spike_limit_percentage": 20}
    return {
        "receivers": dict(receivers),
        "processors": {"memory_limiter": limiter, **(processors or {})},
        "exporters": dict(exporters),
        "extensions": extensions,
        "service": {
            "telemetry": {"metrics": {"readers": [_own_metrics(ports)]}},
            "extensions": list(extensions),
            "pipelines": {
                signal: {
                    "receivers": list(parts["receivers"]),
                    "processors": ["memory_limiter", *parts.get("processors", ())],
                    "exporters": list(parts["exporters"]),
                }
                for signal, parts in pipelines.items()
            },
        },
    }


def _own_metrics(ports: CollectorPorts) -> Config:
    """The collector's own metrics, under the names that the alerts on it use."""
    plain = {"without_scope_info": True, "without_type_suffix": True, "without_units": True}
    return {"pull": {"exporter": {"prometheus": {"host": ports.address, "port": ports.metrics, **plain}}}}


def stores_config(traces_url: str = "", logs_url: str = "", ports: CollectorPorts = EVERYWHERE) -> Config:
    """Forward spans and log records to a store each; a signal without a store is not received.

    Args:
        traces_url: The base address of OTLP over HTTP, such as `http://jaeger:4318`.
        logs_url: The whole address for logs, such as VictoriaLogs' `/insert/opentelemetry/v1/logs`.
        ports: The address and ports of the collector.
    """
    exporters = {
        **({"otlp_http/traces": otlp_exporter(traces_url)} if traces_url else {}),
        **({"otlp_http/logs": otlp_exporter(logs_url, "logs")} if logs_url else {}),
    }
    return collector_config(
        {name.removeprefix("otlp_http/"): {"receivers": ["otlp"], "exporters": [name]} for name in exporters},
        otlp_receiver(ports.address, ports.grpc, ports.http),
        exporters,
        ports=ports,
    )
