"""Objects for the Prometheus operator and Grafana's sidecar: monitors, rules, dashboards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from otel_obs.errors import OperationsError
from otel_obs.ops.dashboards import BOARDS
from otel_obs.ops.kubernetes.workload import NAME_LABEL, PORT_NAME, Manifest, named_object

API = "monitoring.coreos.com/v1"
SIDECAR_LABEL = {"grafana_dashboard": "1"}
APPLY_LIMIT, CONFIG_MAP_LIMIT = 256 * 1024, 1024 * 1024
"""The most bytes of an object that `kubectl apply` keeps in its annotation, and of a ConfigMap."""

SCRAPE_PROTOCOLS = ["OpenMetricsText1.0.0", "PrometheusText0.0.4"]


def service_monitor(name: str, interval: str, timeout: str) -> Manifest:
    """Scrapes every pod behind the service's Service."""
    return _monitor("ServiceMonitor", "endpoints", name, interval, timeout)


def pod_monitor(name: str, interval: str, timeout: str) -> Manifest:
    """Scrapes every pod of the service directly, without a Service."""
    return _monitor("PodMonitor", "podMetricsEndpoints", name, interval, timeout)


def _monitor(kind: str, endpoints: str, name: str, interval: str, timeout: str) -> Manifest:
    return {
        "apiVersion": API,
        "kind": kind,
        "metadata": named_object(name),
        "spec": {
            # Rules and dashboards select this job; by default it would be named after this object.
            "jobLabel": NAME_LABEL,
            "selector": {"matchLabels": {NAME_LABEL: name}},
            "scrapeProtocols": SCRAPE_PROTOCOLS,
            endpoints: [
                {"port": PORT_NAME, "path": "/metrics", "interval": interval, "scrapeTimeout": timeout}
            ],
        },
    }


def prometheus_rule(name: str, groups: list[Any]) -> Manifest:
    """Recording rules and alerts as one object."""
    return {
        "apiVersion": API,
        "kind": "PrometheusRule",
        "metadata": named_object(name),
        "spec": {"groups": groups},
    }


def dashboard_maps(name: str, dashboards: Mapping[str, str]) -> Iterator[tuple[str, Manifest]]:
    """A ConfigMap for each dashboard, with its name; an extra dashboard is named after its file.

    Args:
        name: The name of the service.
        dashboards: Texts by file name.

    Raises:
        OperationsError: A dashboard is larger than a ConfigMap may be.
    """
    usual = {board.slug for board in BOARDS}
    for file, text in dashboards.items():
        slug = file.removesuffix(".json").replace("_", "-")
        own = f"{name}-{slug}" if slug in usual else slug
        size = len(text.encode())
        if size > CONFIG_MAP_LIMIT:
            raise OperationsError(
                f"dashboard {file!r} of {size} bytes",
                f"is more than a ConfigMap may hold, which is {CONFIG_MAP_LIMIT}",
                "divide it, or provision it from a volume",
            )
        yield (
            own,
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    **named_object(own, SIDECAR_LABEL, of=name),
                    "annotations": {"grafana_folder": name},
                },
                "data": {file: text},
            },
        )
