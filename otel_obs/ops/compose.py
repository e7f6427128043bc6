"""The monitoring of a service in Docker: one file for Docker Compose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from otel_obs.ops.collector_config import (
    ANYWHERE,
    COLLECTOR_IMAGE,
    HTTP_PORT,
    SELF_PORT,
    stores_config,
)
from otel_obs.ops.dashboards import TRACES_UID
from otel_obs.ops.prometheus_config import ScrapeJob, prometheus_flags
from otel_obs.ops.yaml_text import YamlMapping

PROMETHEUS_IMAGE = "prom/prometheus:v3.5.0"
ALERTMANAGER_IMAGE = "prom/alertmanager:v0.28.1"
GRAFANA_IMAGE = "grafana/grafana:12.1.0"
LOGS_IMAGE = "victoriametrics/victoria-logs:v1.52.1"
TRACES_IMAGE = "jaegertracing/jaeger:2.13.0"
LOGS_PORT, TRACES_PORT = 9428, 16686
LOGS_PATH = "/insert/opentelemetry/v1/logs"
LOGS_PLUGIN = "victoriametrics-logs-datasource"
PASSWORD_SECRET = "grafana-admin-password"
COLLECTOR_JOB = ScrapeJob("collector", (f"collector:{SELF_PORT}",))


class ComposePaths(NamedTuple):
    """The paths of the parts' files, relative to the compose file."""

    prometheus: str = "./prometheus"
    alertmanager: str = "./alertmanager/alertmanager.yml"
    provisioning: str = "./grafana/provisioning"
    dashboards: str = "./grafana/dashboards"
    collector: str = "./collector/collector.yaml"
    traces: str = "./collector/jaeger.yaml"
    secrets: str = "./secrets"


class AppImage(NamedTuple):
    """A service that is built and run beside its monitoring.

    Attributes:
        name: The name of its compose service, which is also its host name.
        dockerfile: The Dockerfile, relative to *context*.
        context: The build context.
        port: The port that it listens on.
        environment: Variables beyond those of its image.
    """

    name: str
    dockerfile: str
    context: str
    port: int
    environment: Mapping[str, str] = {}


USUAL_PROJECT = "monitoring"


def project_name(job: str) -> str:
    """The name of the project of a service: Compose takes small letters, digits, `-` and `_`."""
    return re.sub(r"[^a-z0-9_-]+", "-", job.lower()).strip("-_") or USUAL_PROJECT


@dataclass(frozen=True)
class ComposeStack:
    """One compose file.

    Attributes:
        project: The name of the project; its network is `<project>_default`.
        paths: The paths of the parts' files.
        containers: The prefix of container names; "" lets Compose choose them.
        grafana_port: The port of Grafana on this machine.
        app: The service, if it runs in this stack too.
        has_stores: Whether the stack has stores of traces and logs, with a collector before them.
    """

    project: str = USUAL_PROJECT
    paths: ComposePaths = field(default_factory=ComposePaths)
    containers: str = ""
    grafana_port: int = 3000
    app: AppImage | None = None
    has_stores: bool = True

    def config(self) -> YamlMapping:
        """The compose file as values."""
        services = {"prometheus": self._prometheus(), "alertmanager": self._alertmanager()}
        services["grafana"] = self._grafana()
        if self.has_stores:
            services |= {"collector": self._collector(), "logs": _logs(), "traces": self._traces()}
        for name, service in services.items():
            if self.containers:
                service["container_name"] = f"{self.containers}_{name}"
        if self.app is not None:
            services = {self.app.name: self._app(self.app), **services}
        kept = ["prometheus-data", "alertmanager-data", "grafana-data"]
        kept += ["logs-data", "traces-data"] if self.has_stores else []
        return {
            "name": self.project,
            "services": services,
            "volumes": {name: {} for name in kept},
            "secrets": {PASSWORD_SECRET: {"file": f"{self.paths.secrets}/{PASSWORD_SECRET}"}},
        }

    def _prometheus(self) -> YamlMapping:
        flags = prometheus_flags(
            "/prometheus", config="/etc/prometheus/prometheus.yml", address="0.0.0.0:9090"
        )
        return _service(
            PROMETHEUS_IMAGE,
            9090,
            command=flags,
            volumes=[f"{self.paths.prometheus}:/etc/prometheus:ro", "prometheus-data:/prometheus"],
            # Docker Desktop has this name for the host; on Linux it has to be added.
            extra_hosts=["host.docker.internal:host-gateway"],
            healthcheck=_answers(9090, "/-/ready"),
        )

    def _alertmanager(self) -> YamlMapping:
        secrets = f"{self.paths.secrets}/alertmanager"
        return _service(
            ALERTMANAGER_IMAGE,
            9093,
            command=["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"],
            volumes=[
                f"{self.paths.alertmanager}:/etc/alertmanager/alertmanager.yml:ro",
                f"{secrets}:/etc/alertmanager/secrets:ro",
                "alertmanager-data:/alertmanager",
            ],
            healthcheck=_answers(9093, "/-/ready"),
        )

    def _grafana(self) -> YamlMapping:
        environment = {
            "GF_SECURITY_ADMIN_PASSWORD__FILE": f"/run/secrets/{PASSWORD_SECRET}",
            "GF_USERS_ALLOW_SIGN_UP": "false",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            **({"GF_PLUGINS_PREINSTALL": LOGS_PLUGIN} if self.has_stores else {}),
        }
        return _service(
            GRAFANA_IMAGE,
            3000,
            published=self.grafana_port,
            environment=environment,
            secrets=[PASSWORD_SECRET],
            volumes=[
                f"{self.paths.provisioning}:/etc/grafana/provisioning:ro",
                f"{self.paths.dashboards}:/var/lib/grafana/dashboards:ro",
                "grafana-data:/var/lib/grafana",
            ],
            depends_on={"prometheus": {"condition": "service_healthy"}},
            healthcheck=_answers(3000, "/api/health"),
        )

    def _collector(self) -> YamlMapping:
        # No health check: the image has neither a shell nor an HTTP client. Prometheus scrapes it.
        return _service(
            COLLECTOR_IMAGE,
            HTTP_PORT,
            command=["--config=/etc/otelcol/config.yaml"],
            volumes=[f"{self.paths.collector}:/etc/otelcol/config.yaml:ro"],
            depends_on={"logs": {"condition": "service_healthy"}, "traces": {"condition": "service_started"}},
            deploy={"resources": {"limits": {"memory": "512M"}}},
        )

    def _traces(self) -> YamlMapping:
        return _service(
            TRACES_IMAGE,
            TRACES_PORT,
            command=["--config=/etc/jaeger/config.yaml"],
            volumes=[f"{self.paths.traces}:/etc/jaeger/config.yaml:ro", "traces-data:/data"],
            # The image's user may not write to a new volume. Root has no capabilities here.
            user="0",
        )

    def _app(self, app: AppImage) -> YamlMapping:
        sent = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://collector:{HTTP_PORT}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
        }
        return {
            "build": {"context": app.context, "dockerfile": app.dockerfile},
            "restart": "unless-stopped",
            "ports": [f"127.0.0.1:{app.port}:{app.port}"],
            "environment": {**(sent if self.has_stores else {}), **app.environment},
            **_confined(),
            "read_only": True,
            "shm_size": "256m",
        }


def _service(image: str, port: int, published: int = 0, **rest: Any) -> YamlMapping:
    """A part that is restarted when it ends, and that is published on loopback only."""
    return {
        "image": image,
        "restart": "unless-stopped",
        "ports": [f"127.0.0.1:{published or port}:{port}"],
        **_confined(),
        **rest,
    }


def _confined() -> YamlMapping:
    return {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}


def _answers(port: int, path: str) -> YamlMapping:
    """A health check with wget, which these images have. `localhost` may be `::1`, where no part listens."""
    return {
        "test": ["CMD", "wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{port}{path}"],
        "interval": "15s",
        "timeout": "5s",
        "retries": 5,
        "start_period": "20s",
    }


def _logs() -> YamlMapping:
    return _service(
        LOGS_IMAGE,
        LOGS_PORT,
        command=["-storageDataPath=/data", "-retentionPeriod=15d", f"-httpListenAddr=:{LOGS_PORT}"],
        volumes=["logs-data:/data"],
        healthcheck=_answers(LOGS_PORT, "/health"),
    )


def store_sources(
    traces_url: str = f"http://traces:{TRACES_PORT}", logs_url: str = f"http://logs:{LOGS_PORT}"
) -> list[YamlMapping]:
    """Grafana's data sources for the stores of traces and logs."""
    return [
        {
            "name": "Traces",
            "uid": TRACES_UID,
            "type": "jaeger",
            "access": "proxy",
            "url": traces_url,
        },
        {
            "name": "Logs",
            "uid": "logs",
            "type": LOGS_PLUGIN,
            "access": "proxy",
            "url": logs_url,
        },
    ]


def traces_config(
    directory: str = "/data", address: str = ANYWHERE, http: int = HTTP_PORT, page: int = TRACES_PORT
) -> YamlMapping:
    """Jaeger's configuration: one process, traces on disk for 15 days, as long as logs are kept.

    Args:
        directory: The directory of the traces.
        address: The address that it listens on.
        http: The port for OTLP over HTTP.
        page: The port of its web page.
    """
    directories = {"keys": directory, "values": directory}
    backend = {"badger": {"directories": directories, "ephemeral": False, "ttl": {"spans": "360h"}}}
    return {
        "service": {
            "extensions": ["jaeger_storage", "jaeger_query"],
            "pipelines": {
                "traces": {
                    "receivers": ["otlp"],
                    "processors": ["batch"],
                    "exporters": ["jaeger_storage_exporter"],
                }
            },
        },
        "extensions": {
            "jaeger_storage": {"backends": {"disk": backend}},
            "jaeger_query": {
                "storage": {"traces": "disk"},
                "http": {"endpoint": f"{address}:{page}"},
            },
        },
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"{address}:{http}"}}}},
        "processors": {"batch": {}},
        "exporters": {"jaeger_storage_exporter": {"trace_storage": "disk"}},
    }


def store_collector() -> YamlMapping:
    """The collector's configuration for these stores."""
    return stores_config(f"http://traces:{HTTP_PORT}", f"http://logs:{LOGS_PORT}{LOGS_PATH}")
