"""The collector on Kubernetes: an agent on each node, and gateways, which alone know the stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_obs.ops.collector_config import (
    COLLECTOR_IMAGE,
    GRPC_PORT,
    HEALTH_PORT,
    HTTP_PORT,
    SELF_PORT,
    collector_config,
    otlp_exporter,
    otlp_receiver,
)
from otel_obs.ops.kubernetes.monitors import SCRAPE_PROTOCOLS
from otel_obs.ops.kubernetes.workload import NAME_LABEL, Manifest, named_object
from otel_obs.ops.prometheus_config import kubernetes_jobs
from otel_obs.ops.yaml_text import yaml_text

AGENT, GATEWAY, STORES = "collector-agent", "collector-gateway", "collector-stores"
QUEUE = "/var/lib/otelcol/queue"
SIGNALS = ("metrics", "traces", "logs")
COLLECTOR_USER = 10001


def agent_config(job: str, interval: str) -> Manifest:
    """The agent: it scrapes the pods of its node, receives OTLP from them, and sends all to a gateway."""
    (scrape,) = kubernetes_jobs(job)
    (discovery,) = scrape["kubernetes_sd_configs"]
    # Each agent discovers only the pods of its own node, so that each pod is scraped once.
    discovery["selectors"] = [{"role": "pod", "field": "spec.nodeName=${env:NODE_NAME}"}]
    scrape |= {"scrape_interval": interval, "scrape_protocols": SCRAPE_PROTOCOLS}
    scrape["relabel_configs"] = _escaped(scrape["relabel_configs"])
    gateway = otlp_exporter(f"http://{GATEWAY}:{HTTP_PORT}", is_kept_on_disk=True)
    # One consumer sends batches one after the other, so that samples of a series arrive in order.
    gateway["sending_queue"]["num_consumers"] = 1
    return collector_config(
        {
            "metrics/scraped": {
                "receivers": ["prometheus"],
                "processors": ["resource/scraped"],
                "exporters": ["otlp_http/gateway"],
            },
            **{signal: {"receivers": ["otlp"], "exporters": ["otlp_http/gateway"]} for signal in SIGNALS},
        },
        {"prometheus": {"config": {"scrape_configs": [scrape]}}, **otlp_receiver()},
        {"otlp_http/gateway": gateway},
        {
            # A failed scrape lacks these attributes: with them, `up` would change its labels.
            "resource/scraped": {
                "attributes": [
                    {"key": key, "action": "delete"} for key in ("service_name", "service_instance_id")
                ]
            }
        },
        QUEUE,
    )


def gateway_config() -> Manifest:
    """A gateway: it receives OTLP from agents and writes to the stores in the Secret `collector-stores`."""
    return collector_config(
        {
            "metrics": {"receivers": ["otlp"], "exporters": ["prometheus_remote_write"]},
            "traces": {"receivers": ["otlp"], "exporters": ["otlp_http/traces"]},
            "logs": {"receivers": ["otlp"], "exporters": ["otlp_http/logs"]},
        },
        otlp_receiver(),
        {
            "prometheus_remote_write": {
                "endpoint": "${env:METRICS_URL}",
                "retry_on_failure": {"enabled": True, "initial_interval": "5s", "max_elapsed_time": "10m"},
                "timeout": "10m",
                "remote_write_queue": {"enabled": True, "queue_size": 1000},
                "translation_strategy": "UnderscoreEscapingWithSuffixes",
                "target_info": {"enabled": True},
                "disable_scope_info": True,
                "send_metadata": True,
            },
            "otlp_http/traces": otlp_exporter("${env:TRACES_URL}", is_kept_on_disk=True),
            "otlp_http/logs": otlp_exporter("${env:LOGS_URL}", "logs", is_kept_on_disk=True),
        },
        queue_directory=QUEUE,
    )


def _escaped(value: Any) -> Any:
    """Double every `$`: a single one starts a variable in the collector's configuration."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _escaped(each) for key, each in value.items()}
    return [_escaped(each) for each in value] if isinstance(value, list) else value


def agent_objects(job: str, interval: str) -> dict[str, list[Manifest]]:
    """The DaemonSet, its configuration and its permissions, by file."""
    pods = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    subject = {"kind": "ServiceAccount", "name": AGENT, "namespace": "default"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": AGENT}
    spec = {
        "serviceAccountName": AGENT,
        # The queue outlives the pod in a directory of the node, which belongs to root.
        "securityContext": {"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(AGENT, host_ports=True)],
        "volumes": [
            {"name": "config", "configMap": {"name": AGENT}},
            {"name": "queue", "hostPath": {"path": "/var/lib/otelcol", "type": "DirectoryOrCreate"}},
        ],
        "tolerations": [{"operator": "Exists"}],
    }
    return {
        "rbac.yaml": [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named_object(AGENT)},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": named_object(AGENT),
                "rules": [pods],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": named_object(AGENT),
                "roleRef": role,
                "subjects": [subject],
            },
        ],
        "agent.yaml": [
            _config_map(AGENT, agent_config(job, interval)),
            {
                "apiVersion": "apps/v1",
                "kind": "DaemonSet",
                "metadata": named_object(AGENT),
                "spec": {
                    "selector": {"matchLabels": {NAME_LABEL: AGENT}},
                    "template": _template(AGENT, spec),
                },
            },
        ],
    }


def gateway_objects() -> dict[str, list[Manifest]]:
    """Two gateways behind a Service, by file; the queue of each survives its restart."""
    spec = {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": COLLECTOR_USER,
            "fsGroup": COLLECTOR_USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(GATEWAY, secret=STORES)],
        "volumes": [{"name": "config", "configMap": {"name": GATEWAY}}],
    }
    claim = {
        "metadata": {"name": "queue"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
    }
    ports = [{"name": "grpc", "port": GRPC_PORT}, {"name": "http", "port": HTTP_PORT}]
    return {
        "gateway.yaml": [
            _config_map(GATEWAY, gateway_config()),
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": named_object(GATEWAY),
                "spec": {"selector": {NAME_LABEL: GATEWAY}, "ports": ports},
            },
            {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": named_object(GATEWAY),
                "spec": {
                    "serviceName": GATEWAY,
                    "replicas": 2,
                    "podManagementPolicy": "Parallel",
                    "selector": {"matchLabels": {NAME_LABEL: GATEWAY}},
                    "template": _template(GATEWAY, spec),
                    "volumeClaimTemplates": [claim],
                },
            },
        ]
    }


def _template(name: str, spec: Manifest) -> Manifest:
    return {"metadata": {"labels": {NAME_LABEL: name}}, "spec": spec}


def _config_map(name: str, config: Manifest) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": named_object(name),
        "data": {"config.yaml": yaml_text(config)},
    }


def _container(name: str, host_ports: bool = False, secret: str = "") -> Manifest:
    ports: list[Manifest] = [
        {"name": "grpc", "containerPort": GRPC_PORT},
        {"name": "http", "containerPort": HTTP_PORT},
        {"name": "metrics", "containerPort": SELF_PORT},
    ]
    if host_ports:
        # A service reaches the agent of its node at the node's address.
        ports = [{**port, "hostPort": port["containerPort"]} for port in ports[:2]] + ports[2:]
    container: Manifest = {
        "name": "collector",
        "image": COLLECTOR_IMAGE,
        "args": ["--config=/etc/otelcol/config.yaml"],
        "ports": ports,
        "env": [
            {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "GOMEMLIMIT", "value": "400MiB"},
        ],
        "livenessProbe": {"httpGet": {"path": "/", "port": HEALTH_PORT}},
        "readinessProbe": {"httpGet": {"path": "/", "port": HEALTH_PORT}},
        "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}, "limits": {"memory": "500Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/otelcol", "readOnly": True},
            {"name": "queue", "mountPath": "/var/lib/otelcol"},
        ],
    }
    if secret:
        container["envFrom"] = [{"secretRef": {"name": secret}}]
    return container
