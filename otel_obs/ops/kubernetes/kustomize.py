"""The kustomize files: a base, and an overlay for each way to collect the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otel_obs.ops.kubernetes.collector_agents import STORES, agent_objects, gateway_objects
from otel_obs.ops.kubernetes.monitors import (
    dashboard_maps,
    pod_monitor,
    prometheus_rule,
    service_monitor,
)
from otel_obs.ops.kubernetes.workload import Manifest, Workload
from otel_obs.ops.yaml_text import NOTE, yaml_text

RELEASE = "kube-prometheus-stack"
"""The name that the documentation of kube-prometheus-stack gives its Helm release."""

_LOUD = """\
# !!! release: {release}
# !!! THIS HAS TO BE THE NAME OF THE HELM RELEASE OF kube-prometheus-stack IN YOUR CLUSTER. Is it?
# !!! Its Prometheus reads only monitors and rules that carry this label. With another name nothing fails, and
# !!! nothing is scraped and no alert fires. Look it up:
# !!!   kubectl get prometheus -A -o jsonpath='{{.items[*].spec.serviceMonitorSelector}}'
# !!! and set it below, or: otel-obs generate kubernetes --release NAME …
"""


def kubernetes_objects(
    workload: Workload,
    groups: list[Any],
    dashboards: Mapping[str, str],
    *,
    interval: str = "15s",
    timeout: str = "10s",
    release: str = RELEASE,
) -> dict[str, str]:
    """Every file below `base` and `overlays`, as texts by path.

    Args:
        workload: The service.
        groups: Its recording rules and alerts.
        dashboards: Its dashboards, by file name.
        interval: The time between two scrapes.
        timeout: The timeout of a scrape.
        release: The Helm release of kube-prometheus-stack; its Prometheus selects objects by this name.
    """
    name = workload.name
    watched = {"prometheusrule.yaml": [prometheus_rule(name, groups)]}
    watched |= {f"dashboard-{own}.yaml": [each] for own, each in dashboard_maps(name, dashboards)}
    by_service = {"servicemonitor.yaml": [service_monitor(name, interval, timeout)]}
    by_pod = {"podmonitor.yaml": [pod_monitor(name, interval, timeout)]}
    collectors = {**agent_objects(name, interval), **gateway_objects()}
    files = {
        **_directory(
            "base", {"deployment.yaml": [workload.deployment()], "service.yaml": [workload.service()]}
        ),
        **_directory("watching", watched),
        **_directory("overlays/servicemonitor", by_service, ["../../base", "../../watching"], release),
        **_directory("overlays/podmonitor", by_pod, ["../../base", "../../watching"], release),
        **_directory("overlays/annotations", {}, ["../../base"], patch=_annotations(workload)),
        **_directory("overlays/collector", collectors, ["../../base"], patch=_sending(workload)),
    }
    files["overlays/collector/stores.env.example"] = _STORES
    return files


_STORES = f"""\
# Fill this in as stores.env, and: kubectl create secret generic {STORES} --from-env-file=stores.env
METRICS_URL=https://store.example.org/api/v1/write
TRACES_URL=https://traces.example.org:4318
LOGS_URL=https://logs.example.org/insert/opentelemetry/v1/logs
"""


def _directory(
    path: str,
    files: Mapping[str, Sequence[Manifest]],
    bases: Sequence[str] = (),
    release: str = "",
    patch: Manifest | None = None,
) -> dict[str, str]:
    """One kustomize directory with its files."""
    kustomization: Manifest = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [*bases, *files],
    }
    if release:
        kustomization["labels"] = [{"pairs": {"release": release}}]
    texts = {name: yaml_text(*objects) for name, objects in files.items()}
    if patch is not None:
        kustomization["patches"] = [{"path": "patch.yaml"}]
        texts["patch.yaml"] = yaml_text(patch)
    head = yaml_text(kustomization)
    if release:
        head = head.replace(NOTE, NOTE + _LOUD.format(release=release), 1)
    return {f"{path}/{name}": text for name, text in {"kustomization.yaml": head, **texts}.items()}


def _patch(workload: Workload, template: Manifest) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": workload.name},
        "spec": {"template": template},
    }


def _asking(workload: Workload) -> Manifest:
    """The pod annotations that request a scrape."""
    pairs = {"scrape": "true", "port": str(workload.port), "path": "/metrics"}
    return {"annotations": {f"prometheus.io/{key}": value for key, value in pairs.items()}}


def _annotations(workload: Workload) -> Manifest:
    return _patch(workload, {"metadata": _asking(workload)})


def _sending(workload: Workload) -> Manifest:
    """A patch: the service sends spans and logs to the agent of its node, which also scrapes its metrics."""
    env = [{"name": f"OTEL_{signal}_EXPORTER", "value": "otlp"} for signal in ("TRACES", "LOGS")]
    container = {"name": "app", "env": env}
    return _patch(workload, {"metadata": _asking(workload), "spec": {"containers": [container]}})
