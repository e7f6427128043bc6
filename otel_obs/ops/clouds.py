"""A service in a cloud: an ECS task and a Cloud Run service, each with a collector beside the application.

The application's port is public there. Metrics are served on a loopback port, which only the collector can
reach.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from otel_obs.ops.collector_config import (
    COLLECTOR_IMAGE,
    HEALTH_PORT,
    HTTP_PORT,
    collector_config,
    otlp_receiver,
    scraping,
)
from otel_obs.ops.dockerfile import USER
from otel_obs.ops.promql import row_of
from otel_obs.ops.service_facts import MonitoredService
from otel_obs.ops.yaml_text import YamlMapping, yaml_text

METRICS_PORT = 9464
INSIDE = "127.0.0.1"
REGION, ACCOUNT, PROJECT = "eu-central-1", "123456789012", "my-project"
_CONFIG = "COLLECTOR_CONFIG"


class CloudMetric(NamedTuple):
    """A metric in CloudWatch: its name, its unit there, and the labels that it is kept by."""

    name: str
    unit: str
    labels: tuple[str, ...]


JOB = "service.name"
"""The resource attribute that OpenTelemetry has for the label `job`."""

KEPT = {
    "http_requests_total": "Count",
    "http_request_duration_seconds": "Seconds",
    "predictions_total": "Count",
    "llm_calls_total": "Count",
    "errors_total": "Count",
}
"""The families that are sent to CloudWatch, with their units: few, since it bills each set of labels."""


def cloud_metrics(service: MonitoredService) -> tuple[CloudMetric, ...]:
    """The families of `KEPT` that the service has, under the names that it exposes."""
    found = []
    for family, unit in KEPT.items():
        row, _ = row_of(family)
        if row is not None and family in service.families:
            named = service.naming.apply(row)
            found.append(CloudMetric(named.family, unit, named.labels))
    return tuple(found)


class CloudService(NamedTuple):
    """A service in a cloud.

    Attributes:
        name: Its name and `job`.
        image: Its image.
        port: The port that it listens on.
        namespace: The namespace of its metrics in CloudWatch.
        metrics: The metrics that CloudWatch keeps, and bills.
        environment: Its variables.
    """

    name: str
    image: str
    port: int
    namespace: str
    metrics: tuple[CloudMetric, ...]
    environment: Mapping[str, str]


_INTERVAL = "60s"
"""The scrape interval: clouds bill every sample, and show no finer resolution."""


def _variables(service: CloudService) -> dict[str, str]:
    return {
        "OTEL_SERVICE_NAME": service.name,
        "OTEL_EXPORTER_PROMETHEUS_HOST": INSIDE,
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(METRICS_PORT),
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{INSIDE}:{HTTP_PORT}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        **{name: value for name, value in service.environment.items() if name != "OTEL_SERVICE_NAME"},
    }


def cloudwatch_config(service: CloudService) -> YamlMapping:
    """The collector in an ECS task: metrics to CloudWatch, spans to X-Ray.

    CloudWatch bills each set of dimensions as a metric, and each byte of a log: only the declared families
    are scraped, in the declared sets. Its exporter would send the totals of a histogram at every scrape, so
    all become differences before. The first scrape counts: the collector begins with the service.
    """
    declared = [
        {"dimensions": [[JOB, *metric.labels], [JOB]], "metric_name_selectors": [f"^{metric.name}$"]}
        for metric in service.metrics
    ]
    emf = {
        "region": "${env:AWS_REGION}",
        "namespace": service.namespace,
        "log_group_name": f"/metrics/{service.name}",
        "log_stream_name": "{TaskId}",
        "log_retention": 30,
        "dimension_rollup_option": "NoDimensionRollup",
        "resource_to_telemetry_conversion": {"enabled": True},
        "metric_declarations": declared,
        "metric_descriptors": [
            {"metric_name": metric.name, "unit": metric.unit, "overwrite": True} for metric in service.metrics
        ],
    }
    return collector_config(
        {
            "metrics": {
                "receivers": ["prometheus"],
                "processors": ["cumulative_to_delta", "batch"],
                "exporters": ["awsemf"],
            },
            "traces": {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["awsxray"]},
        },
        {
            **scraping(service.name, [f"{INSIDE}:{METRICS_PORT}"], _INTERVAL, _kept(service.metrics)),
            **otlp_receiver(INSIDE),
        },
        {"awsemf": emf, "awsxray": {"region": "${env:AWS_REGION}"}},
        {"cumulative_to_delta": {"initial_value": "keep"}, "batch": {"timeout": "10s"}},
    )


def _kept(metrics: Sequence[CloudMetric]) -> str:
    """The samples of some families, as a regular expression of their names."""
    families = "|".join(metric.name for metric in metrics)
    return f"({families})(_bucket|_sum|_count|_created)?|target_info" if families else "target_info"


def google_config(service: CloudService) -> YamlMapping:
    """The collector beside a Cloud Run service: metrics to Cloud Monitoring, spans to Cloud Trace."""
    prefix = f"workload.googleapis.com/{service.name}"
    return collector_config(
        {
            "metrics": {
                "receivers": ["prometheus"],
                "processors": ["resource_detection", "batch"],
                "exporters": ["googlecloud"],
            },
            "traces": {
                "receivers": ["otlp"],
                "processors": ["resource_detection", "batch"],
                "exporters": ["googlecloud"],
            },
        },
        {**scraping(service.name, [f"{INSIDE}:{METRICS_PORT}"], _INTERVAL), **otlp_receiver(INSIDE)},
        {"googlecloud": {"project": "${env:GOOGLE_CLOUD_PROJECT}", "metric": {"prefix": prefix}}},
        {
            "resource_detection": {"detectors": ["gcp"], "timeout": "10s"},
            "batch": {"timeout": "10s", "send_batch_size": 200, "send_batch_max_size": 200},
        },
    )


def ecs_task(service: CloudService) -> YamlMapping:
    """A task definition for Fargate; the collector's configuration is a parameter of Systems Manager."""
    logs = {
        "logDriver": "awslogs",
        "options": {
            "awslogs-group": f"/ecs/{service.name}",
            "awslogs-region": REGION,
            "awslogs-stream-prefix": service.name,
            "awslogs-create-group": "true",
        },
    }
    asked = f"from urllib.request import *; urlopen('http://{INSIDE}:{service.port}/health')"
    app = {
        "name": "app",
        "image": service.image,
        "essential": True,
        "user": f"{USER}:{USER}",
        "readonlyRootFilesystem": True,
        "portMappings": [{"containerPort": service.port, "protocol": "tcp"}],
        "environment": [
            {"name": name, "value": value} for name, value in sorted(_variables(service).items())
        ],
        "healthCheck": {
            "command": ["CMD", "python3", "-c", asked],
            "interval": 15,
            "timeout": 5,
            "retries": 3,
            "startPeriod": 30,
        },
        "dependsOn": [{"containerName": "collector", "condition": "START"}],
        "stopTimeout": 40,
        "logConfiguration": logs,
    }
    parameter = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{service.name}/collector"
    collector = {
        "name": "collector",
        "image": COLLECTOR_IMAGE,
        # The service keeps running if the collector ends.
        "essential": False,
        "readonlyRootFilesystem": True,
        "command": [f"--config=env:{_CONFIG}"],
        "environment": [{"name": "AWS_REGION", "value": REGION}],
        "secrets": [{"name": _CONFIG, "valueFrom": parameter}],
        "memoryReservation": 128,
        "logConfiguration": logs,
    }
    role = f"arn:aws:iam::{ACCOUNT}:role/{service.name}"
    return {
        "family": service.name,
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "512",
        "memory": "1024",
        "executionRoleArn": f"{role}-execution",
        "taskRoleArn": f"{role}-task",
        "containerDefinitions": [app, collector],
    }


def cloud_run(service: CloudService) -> YamlMapping:
    """A Cloud Run service with the collector as its second container."""
    app = {
        "name": "app",
        "image": service.image,
        "ports": [{"containerPort": service.port}],
        "env": [{"name": name, "value": value} for name, value in _variables(service).items()],
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
        "startupProbe": {
            "httpGet": {"path": "/health", "port": service.port},
            "periodSeconds": 2,
            "failureThreshold": 60,
        },
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": service.port},
            "periodSeconds": 15,
            "failureThreshold": 6,
        },
    }
    collector = {
        "name": "collector",
        "image": COLLECTOR_IMAGE,
        "args": ["--config=/etc/otelcol/config.yaml"],
        "env": [{"name": "GOOGLE_CLOUD_PROJECT", "value": PROJECT}],
        "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}},
        "startupProbe": {"httpGet": {"path": "/", "port": HEALTH_PORT}, "periodSeconds": 2},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/otelcol"}],
    }
    secret = {
        "secretName": f"{service.name}-collector",
        "items": [{"key": "latest", "path": "config.yaml"}],
    }
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": service.name,
            "annotations": {"run.googleapis.com/launch-stage": "GA"},
        },
        "spec": {
            "template": {
                "metadata": {
                    "annotations": {
                        "run.googleapis.com/container-dependencies": json.dumps({"app": ["collector"]}),
                        # The collector needs CPU between requests too. An instance that is removed loses the
                        # counts since its last scrape, so one instance always stays.
                        "run.googleapis.com/cpu-throttling": "false",
                        "autoscaling.knative.dev/minScale": "1",
                    }
                },
                "spec": {
                    "containers": [app, collector],
                    "volumes": [{"name": "config", "secret": secret}],
                },
            }
        },
    }


def cloud_files(service: CloudService) -> dict[str, str]:
    """All files, by path."""
    return {
        "ecs/task-definition.json": json.dumps(ecs_task(service), indent=2) + "\n",
        "ecs/collector.yaml": yaml_text(cloudwatch_config(service)),
        "cloudrun/service.yaml": yaml_text(cloud_run(service)),
        "cloudrun/collector.yaml": yaml_text(google_config(service)),
    }
