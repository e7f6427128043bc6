"""The service itself on Kubernetes: Deployment and Service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from otel_obs.errors import OperationsError
from otel_obs.ops.collector_config import HTTP_PORT
from otel_obs.ops.dockerfile import USER

Manifest = dict[str, Any]
NAME_LABEL = "app.kubernetes.io/name"
PORT_NAME = "http"
_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Workload:
    """A service as Kubernetes runs it.

    Attributes:
        name: The name of its objects, and its `job` in Prometheus.
        image: Its image.
        port: The port that it listens on.
        environment: Its variables.
        replicas: The number of pods.
        health: The path of its health check.
    """

    name: str
    image: str
    port: int = 8000
    environment: Mapping[str, str] = field(default_factory=dict)
    replicas: int = 2
    health: str = "/health"

    def __post_init__(self) -> None:
        """Refuse a name that Kubernetes would refuse.

        Raises:
            OperationsError: The name is not a DNS label.
        """
        if not _DNS_LABEL.fullmatch(self.name):
            raise OperationsError(
                f"service {self.name!r}",
                "cannot be the name of an object of Kubernetes",
                "give --job with at most 63 of: a to z, 0 to 9, -",
            )

    def deployment(self) -> Manifest:
        """A Deployment whose pods run as a numeric user with a read-only root."""
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": named_object(self.name),
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": {NAME_LABEL: self.name}},
                "template": {"metadata": {"labels": {NAME_LABEL: self.name}}, "spec": self._pod()},
            },
        }

    def service(self) -> Manifest:
        """A Service with a named port, by which a ServiceMonitor finds it."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": named_object(self.name),
            "spec": {
                "selector": {NAME_LABEL: self.name},
                "ports": [{"name": PORT_NAME, "port": 80, "targetPort": PORT_NAME}],
            },
        }

    def _pod(self) -> Manifest:
        return {
            "automountServiceAccountToken": False,
            # `preStop` waits 5 s until the pod is out of the Service; then gunicorn has 30 s for its workers.
            "terminationGracePeriodSeconds": 40,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [self._container()],
            # The workers' cells are in /dev/shm, which has only 64 MB by default.
            "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}}],
        }

    def _container(self) -> Manifest:
        return {
            "name": "app",
            "image": self.image,
            "ports": [{"name": PORT_NAME, "containerPort": self.port}],
            "env": [
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                {"name": "NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
                {"name": "OTEL_SERVICE_NAME", "value": self.name},
                {
                    "name": "OTEL_RESOURCE_ATTRIBUTES",
                    "value": "k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(NAMESPACE)",
                },
                # The collector agent of the node, if there is one; without exporters, nothing is sent.
                {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": f"http://$(NODE_IP):{HTTP_PORT}"},
                {"name": "OTEL_EXPORTER_OTLP_PROTOCOL", "value": "http/protobuf"},
                *(
                    {"name": name, "value": value}
                    for name, value in self.environment.items()
                    if name != "OTEL_SERVICE_NAME"
                ),
            ],
            "startupProbe": self._probe(2, 60),
            "readinessProbe": self._probe(5, 3),
            # Slower than readiness: a pod that is only busy leaves the Service, but is not restarted.
            "livenessProbe": self._probe(15, 6),
            "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
            "resources": {
                "requests": {"cpu": "250m", "memory": "512Mi"},
                "limits": {"memory": "1Gi"},
            },
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
        }

    def _probe(self, period_s: int, failures: int) -> Manifest:
        return {
            "httpGet": {"path": self.health, "port": PORT_NAME},
            "periodSeconds": period_s,
            "timeoutSeconds": 3,
            "failureThreshold": failures,
        }


def named_object(name: str, labels: Mapping[str, str] | None = None, of: str = "") -> Manifest:
    """An object's name and labels.

    Args:
        name: The name of the object.
        labels: Additional labels.
        of: The service that it belongs to; by default *name*.
    """
    return {"name": name, "labels": {NAME_LABEL: of or name, **(labels or {})}}
