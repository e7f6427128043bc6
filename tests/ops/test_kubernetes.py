"""Kubernetes: overlays are built by kustomize, and every object is checked against a schema that knows no more."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from otel_obs.errors import OperationsError
from otel_obs.ops.bundle import Wish, kubernetes_files
from otel_obs.ops.generated_files import write_files
from otel_obs.ops.kubernetes.monitors import APPLY_LIMIT, CONFIG_MAP_LIMIT, dashboard_maps
from otel_obs.ops.kubernetes.workload import Workload
from otel_obs.ops.objectives import parse_objective
from otel_obs.ops.prometheus_config import ScrapeJob
from otel_obs.ops.service_facts import MonitoredService
from tests.ops.promtools import found
from tests.support.programs import ROOT

DEPLOY = ROOT / "deploy"
VERSION = "1.33"
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CRDS = found("operator-crds")
COLLECTOR = found("collector")
OVERLAYS = [
    root / "overlays" / name
    for root in (DEPLOY / "k8s", DEPLOY / "examples" / "reviewlens" / "k8s")
    for name in ("servicemonitor", "podmonitor", "annotations", "collector")
]
OPERATORS = ("ServiceMonitor", "PodMonitor", "PrometheusRule")
Object = dict[str, Any]


def _builder() -> list[str]:
    """`kubectl kustomize`, or kustomize by itself, which is the same code; none where neither is there."""
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    program = found("go-program", "kustomize")
    return [str(program), "build"] if program else []


BUILDER = _builder()
needs_kustomize = pytest.mark.skipif(not BUILDER, reason="neither kubectl nor kustomize is to be had")
needs_crds = pytest.mark.skipif(CRDS is None, reason="the operator's definitions are not to be had")
needs_collector = pytest.mark.skipif(COLLECTOR is None, reason="no collector was built: make collector")


def build(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BUILDER, str(directory)], capture_output=True, text=True, timeout=240)


@cache
def objects_of(directory: Path) -> list[Object]:
    done = build(directory)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.load_all(done.stdout, Loader) if each]


@cache
def crd(kind: str) -> Object:
    """The operator's own schema of a kind, made strict: what it does not name is refused."""
    assert CRDS is not None
    definition = yaml.load((CRDS / f"monitoring.coreos.com_{kind.lower()}s.yaml").read_text(), Loader)
    (version,) = definition["spec"]["versions"]
    schema: Object = version["schema"]["openAPIV3Schema"]
    _make_strict(schema)
    # The type of every object's metadata is not in there, and may have any field that objects have.
    schema["properties"]["metadata"].pop("additionalProperties", None)
    return schema


def _make_strict(schema: Any) -> None:
    if isinstance(schema, dict):
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        if schema.pop("x-kubernetes-int-or-string", False):
            schema.pop("type", None)
        if isinstance(schema.get("pattern"), str):
            schema["pattern"] = schema["pattern"].replace("^(?i)", "(?i)^")  # Go takes it anywhere
        for each in schema.values():
            _make_strict(each)
    elif isinstance(schema, list):
        for each in schema:
            _make_strict(each)


def validate(each: Object) -> None:
    """Refuse an object with a field that its kind does not have, or with a value of another type."""
    if each["kind"] in OPERATORS:
        if CRDS is None:
            pytest.skip("the operator's definitions are not to be had")
        jsonschema.validate(each, crd(each["kind"]))
    else:
        kubernetes_validate.validate(each, VERSION, strict=True)


@needs_kustomize
@needs_crds
@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_object_of_every_overlay_is_valid(overlay: Path) -> None:
    found = objects_of(overlay)

    for each in found:
        validate(each)
    kinds = {each["kind"] for each in found}
    expected = {
        "servicemonitor": {"ServiceMonitor", "PrometheusRule", "ConfigMap"},
        "podmonitor": {"PodMonitor", "PrometheusRule", "ConfigMap"},
        "annotations": set(),
        "collector": {
            "DaemonSet",
            "StatefulSet",
            "ClusterRole",
            "ClusterRoleBinding",
            "ServiceAccount",
            "ConfigMap",
        },
    }
    assert kinds == {"Deployment", "Service", *expected[overlay.name]}


def every_object() -> Iterator[Object]:
    seen = set()
    for overlay in OVERLAYS[:4]:
        if not BUILDER:
            return
        for each in objects_of(overlay):
            if each["kind"] not in seen:
                seen.add(each["kind"])
                yield each


@cache
def of_kind(kind: str) -> Object:
    return next(each for each in every_object() if each["kind"] == kind)


MISSPELT = {
    "Deployment": ("spec.template.spec.containers.0.livenessProbe", "periodSeconds", "periodSecond"),
    "DaemonSet": ("spec.template.spec.containers.0", "ports", "port"),
    "StatefulSet": ("spec", "serviceName", "servicename"),
    "Service": ("spec.ports.0", "targetPort", "targetport"),
    "ConfigMap": ("", "data", "date"),
    "ClusterRole": ("rules.0", "verbs", "verb"),
    "ClusterRoleBinding": ("", "subjects", "subject"),
    "ServiceMonitor": ("spec.endpoints.0", "scrapeTimeout", "scrapeTimout"),
    "PodMonitor": ("spec", "jobLabel", "joblabel"),
    "PrometheusRule": ("spec.groups.-1.rules.-1", "annotations", "annotation"),
}


@needs_kustomize
@needs_crds
@pytest.mark.parametrize("kind", MISSPELT)
def test_a_misspelt_field_is_found(kind: str) -> None:
    path, right, wrong = MISSPELT[kind]
    wronged = copy.deepcopy(of_kind(kind))
    at: Any = wronged
    for step in filter(None, path.split(".")):
        at = at[int(step) if step.lstrip("-").isdecimal() else step]
    at[wrong] = at.pop(right)

    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        validate(wronged)


@needs_kustomize
def test_kustomize_refuses_a_misspelt_field(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "k8s", tmp_path / "k8s")
    file = tmp_path / "k8s" / "overlays" / "annotations" / "kustomization.yaml"
    file.write_text(file.read_text().replace("resources:", "resource:"))

    assert build(file.parent).returncode != 0


@needs_kustomize
def test_monitors_and_rules_carry_the_release_that_was_given(tmp_path: Path) -> None:
    service = MonitoredService.of_groups("shop", ["model"])
    wish = Wish(
        service,
        (ScrapeJob("shop", ("localhost:9000",)),),
        objectives=(parse_objective("availability=99.9"),),
        release="monitoring",
    )
    write_files(tmp_path, kubernetes_files(wish))
    for overlay in ("servicemonitor", "podmonitor"):
        directory = tmp_path / "overlays" / overlay
        found = {each["kind"]: each for each in objects_of(directory)}

        for kind in OPERATORS:
            if kind in found:
                assert found[kind]["metadata"]["labels"]["release"] == "monitoring"
        # A selector cannot be changed once there is a Deployment.
        assert found["Deployment"]["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": "shop"}
        loud = [line for line in (directory / "kustomization.yaml").read_text().splitlines() if "!!!" in line]
        assert "release: monitoring" in loud[0]
        assert "THIS HAS TO BE THE NAME OF THE HELM RELEASE" in loud[1]


@needs_kustomize
@pytest.mark.parametrize("root", [DEPLOY / "k8s", DEPLOY / "examples" / "reviewlens" / "k8s"])
def test_monitors_find_what_they_look_for(root: Path) -> None:
    found = {each["kind"]: each for each in objects_of(root / "overlays" / "servicemonitor")}
    by_pod = {each["kind"]: each for each in objects_of(root / "overlays" / "podmonitor")}
    service, deployment = found["Service"], found["Deployment"]
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    wanted = found["ServiceMonitor"]["spec"]["selector"]["matchLabels"].items()

    assert wanted <= service["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert (
        by_pod["PodMonitor"]["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    )
    ports = {port["name"] for port in container["ports"]}
    assert found["ServiceMonitor"]["spec"]["endpoints"][0]["port"] in {
        port["name"] for port in service["spec"]["ports"] if port["targetPort"] in ports
    }
    assert by_pod["PodMonitor"]["spec"]["podMetricsEndpoints"][0]["port"] in ports
    # The rules are about the job that the monitor makes of the label.
    job = service["metadata"]["labels"][found["ServiceMonitor"]["spec"]["jobLabel"]]
    assert f'job="{job}"' in str(found["PrometheusRule"])


@needs_kustomize
def test_a_variable_stands_behind_what_it_refers_to() -> None:
    for overlay in OVERLAYS:
        for each in objects_of(overlay):
            if each["kind"] != "Deployment":
                continue
            names: list[str] = []
            for variable in each["spec"]["template"]["spec"]["containers"][0]["env"]:
                text = variable.get("value", "")
                used = {part.partition(")")[0] for part in text.split("$(")[1:]}
                assert used <= set(names), variable
                names.append(variable["name"])


@needs_kustomize
def test_dashboards_are_found_by_the_sidecar_and_are_small_enough_for_apply() -> None:
    maps = [
        each
        for overlay in OVERLAYS
        if overlay.name == "servicemonitor"
        for each in objects_of(overlay)
        if each["kind"] == "ConfigMap"
    ]

    assert "reviewlens-dashboard" in {each["metadata"]["name"] for each in maps}
    for each in maps:
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert len(yaml.safe_dump(each)) < APPLY_LIMIT


def test_a_dashboard_that_no_config_map_can_hold_is_refused() -> None:
    with pytest.raises(OperationsError) as raised:
        list(dashboard_maps("shop", {"large.json": "x" * (CONFIG_MAP_LIMIT + 1)}))

    assert str(raised.value) == (
        "dashboard 'large.json' of 1048577 bytes is more than a ConfigMap may hold, which is 1048576; "
        "divide it, or provision it from a volume"
    )


@pytest.mark.parametrize("name", ["Shop", "my_service", "1shop", "-shop", "x" * 64, ""])
def test_a_name_that_no_object_may_have_is_refused(name: str) -> None:
    with pytest.raises(OperationsError, match="cannot be the name of an object of Kubernetes"):
        Workload(name, "image")


def configurations(tmp_path: Path) -> list[Path]:
    files = []
    for each in objects_of(DEPLOY / "k8s" / "overlays" / "collector"):
        if each["kind"] == "ConfigMap":
            file = tmp_path / f"{each['metadata']['name']}.yaml"
            file.write_text(each["data"]["config.yaml"])
            files.append(file)
    return files


def validated(file: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "NODE_NAME": "node-1", "METRICS_URL": "http://127.0.0.1:9/api/v1/write"}
    env |= {"TRACES_URL": "http://127.0.0.1:9", "LOGS_URL": "http://127.0.0.1:9/logs"}
    text = file.read_text().replace("/var/lib/otelcol/queue", str(file.parent / "queue"))
    file.write_text(text)
    return subprocess.run(
        [str(COLLECTOR), "validate", f"--config={file}"], capture_output=True, text=True, timeout=240, env=env
    )


@needs_kustomize
@needs_collector
def test_the_collector_accepts_its_configurations_and_no_misspelt_ones(tmp_path: Path) -> None:
    files = configurations(tmp_path)
    assert [file.stem for file in files] == ["collector-agent", "collector-gateway"]

    for file in files:
        done = validated(file)
        assert done.returncode == 0, done.stderr
        file.write_text(file.read_text().replace("sending_queue", "sending_qeue"))
        assert validated(file).returncode != 0
