"""All generated files for one service, as texts by path, and how they are written to disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from otel_obs.errors import OperationsError
from otel_obs.ops.alerting import alert_files, alertmanager_config, alerts_of
from otel_obs.ops.alerts.alert import Links
from otel_obs.ops.clouds import CloudService, cloud_files, cloud_metrics
from otel_obs.ops.compose import COLLECTOR_JOB, ComposeStack, store_collector, store_sources, traces_config
from otel_obs.ops.dashboards import BOARDS, Board, dashboard, dashboard_text, provisioning
from otel_obs.ops.hosts import HostedService, host_files
from otel_obs.ops.kubernetes.kustomize import RELEASE, kubernetes_objects
from otel_obs.ops.kubernetes.workload import Workload
from otel_obs.ops.objectives import Objective, check_objective
from otel_obs.ops.prometheus_config import RemoteWrite, ScrapeJob, kubernetes_jobs, prometheus_config
from otel_obs.ops.recording_rules import recording_rules
from otel_obs.ops.service_facts import MonitoredService, named_by
from otel_obs.ops.yaml_text import yaml_text

MANIFEST = ".otel-obs-generated.json"
"""Holds the digest of each file at its last generation; a file with another one was changed by hand."""


class ExtraBoard(NamedTuple):
    """A dashboard under a file name that the team chooses."""

    board: Board
    file: str
    language: str = "en"


@dataclass(frozen=True)
class Wish:
    """What to generate for one service.

    Attributes:
        service: The service.
        jobs: The scrape jobs of Prometheus; the service's own comes first.
        objectives: The objectives of the service.
        limits: Thresholds of alerts that replace the default ones.
        language: The language of the alerts and dashboards.
        links: The addresses of runbooks and dashboards.
        interval: The time between scrapes.
        timeout: The timeout of a scrape.
        external: Labels that Prometheus adds to everything it sends elsewhere.
        alertmanager: Its address.
        webhook: A receiver of every alert on this machine, instead of Slack and e-mail.
        remote_write: Stores that samples are also sent to.
        place: One of `PLACES`.
        prometheus_url: The address of Prometheus for Grafana.
        provider: The name of the dashboards' directory in Grafana.
        dashboards_path: That directory.
        extra_boards: Dashboards beyond the standard ones.
        sources: Grafana's data sources besides Prometheus: stores of traces and logs.
        image: The image of the service, for Kubernetes and clouds.
        environment: Variables of the service, for Kubernetes and clouds.
        release: The Helm release of kube-prometheus-stack; its Prometheus selects objects by this name.
        server: The server on a host: `gunicorn` or `uvicorn`.
        domain: The public host name of the service.
        namespace: The namespace of its metrics in CloudWatch; by default its name.
    """

    service: MonitoredService
    jobs: tuple[ScrapeJob, ...]
    objectives: tuple[Objective, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    language: str = "en"
    links: Links = field(default_factory=Links)
    interval: str = "15s"
    timeout: str = "10s"
    external: Mapping[str, str] = field(default_factory=dict)
    alertmanager: str = "localhost:9093"
    webhook: str = ""
    remote_write: tuple[RemoteWrite, ...] = ()
    place: str = "local"
    prometheus_url: str = "http://prometheus:9090"
    provider: str = "otel-obs"
    dashboards_path: str = "/var/lib/grafana/dashboards"
    extra_boards: tuple[ExtraBoard, ...] = ()
    sources: tuple[Mapping[str, Any], ...] = ()
    image: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    release: str = RELEASE
    domain: str = "shop.example.org"
    server: str = "gunicorn"
    namespace: str = ""

    @property
    def port(self) -> int:
        """The port that the service listens on: that of its first target."""
        return int(self.jobs[0].targets[0].rpartition(":")[2])


def prometheus_files(wish: Wish) -> dict[str, str]:
    """`prometheus.yml`, and the files of rules and alerts that it refers to.

    Raises:
        OperationsError: The wish is inconsistent, or the service lacks a metric that it needs.
    """
    is_agent = wish.place == "agent"
    config = prometheus_config(
        [job for job in wish.jobs if wish.place != "kubernetes" or job.job != wish.service.job],
        interval=wish.interval,
        timeout=wish.timeout,
        external=wish.external,
        alertmanager=wish.alertmanager,
        remote_write=wish.remote_write,
        is_agent=is_agent,
        discovered=kubernetes_jobs(wish.service.job) if wish.place == "kubernetes" else (),
    )
    return {"prometheus.yml": yaml_text(config), **({} if is_agent else rule_files(wish))}


def rule_files(wish: Wish) -> dict[str, str]:
    """Recording rules and alerts."""
    return {path: yaml_text(content) for path, content in rule_groups(wish)}


def rule_groups(wish: Wish) -> Iterator[tuple[str, dict[str, Any]]]:
    """Recording rules and alerts as values, by path."""
    for objective in wish.objectives:
        check_objective(objective, wish.service)
    alerts = alerts_of(wish.service, wish.objectives, wish.limits)
    yield "rules/recording.yml", recording_rules(wish.service, wish.objectives)
    for group, content in alert_files(wish.service, alerts, wish.language, wish.links):
        yield f"alerts/{group}.yml", content


def alertmanager_files(wish: Wish) -> dict[str, str]:
    """`alertmanager.yml`."""
    return {"alertmanager.yml": yaml_text(alertmanager_config(webhook=wish.webhook))}


def grafana_files(wish: Wish) -> dict[str, str]:
    """Dashboards for the service, and the provisioning of Grafana with them and with Prometheus."""
    return {**provisioning_files(wish), **dashboard_files(wish)}


def provisioning_files(wish: Wish) -> dict[str, str]:
    """The provisioning of Grafana: dashboards, Prometheus, and stores of traces and logs if there are any."""
    found = provisioning(
        wish.prometheus_url, wish.provider, wish.dashboards_path, wish.interval, wish.sources
    )
    return {path: yaml_text(content) for path, content in found.items()}


def dashboard_files(wish: Wish) -> dict[str, str]:
    """Dashboards for the metrics that the service has."""
    files: dict[str, str] = {}
    named = [(board, f"{board.slug}.json", "", wish.language) for board in BOARDS]
    named += [
        (each.board, each.file, each.file.removesuffix(".json"), each.language) for each in wish.extra_boards
    ]
    for board, file, uid, language in named:
        content = dashboard(board, wish.service, language, bool(wish.objectives), uid.replace("_", "-"))
        if content:
            files[f"dashboards/{file}"] = dashboard_text(content)
    return files


def docker_files(wish: Wish) -> dict[str, str]:
    """`compose.yaml` with Prometheus, Alertmanager, Grafana, a collector and stores, and their files."""
    inside = replace(
        wish,
        jobs=(*wish.jobs, COLLECTOR_JOB),
        place="docker",
        alertmanager="alertmanager:9093",
        prometheus_url="http://prometheus:9090",
        sources=tuple(store_sources()),
    )
    files = {"compose.yaml": yaml_text(ComposeStack(wish.service.job).config()), **store_files()}
    return files | merged(
        [
            ("prometheus", prometheus_files(inside)),
            ("alertmanager", alertmanager_files(inside)),
            ("grafana", grafana_files(inside)),
        ]
    )


def kubernetes_files(wish: Wish) -> dict[str, str]:
    """A kustomize base and overlays: the service, its monitoring, and collectors."""
    name = wish.service.job
    workload = Workload(name, wish.image or f"registry.example.org/{name}:1", wish.port, wish.environment)
    return kubernetes_objects(
        workload,
        [group for _, content in rule_groups(wish) for group in content["groups"]],
        {path.rpartition("/")[2]: text for path, text in dashboard_files(wish).items()},
        interval=wish.jobs[0].interval or wish.interval,
        timeout=wish.jobs[0].timeout or wish.timeout,
        release=wish.release,
    )


def hosts_of(wish: Wish) -> dict[str, str]:
    """A systemd unit, proxy configurations with TLS, and log rotation."""
    return host_files(HostedService(wish.service.job, wish.port, wish.domain, server=wish.server))


def clouds_of(wish: Wish) -> dict[str, str]:
    """An ECS task and a Cloud Run service, with a collector beside the application."""
    name = wish.service.job
    image = wish.image or f"registry.example.org/{name}:1"
    kept = cloud_metrics(wish.service)
    return cloud_files(CloudService(name, image, wish.port, wish.namespace or name, kept, wish.environment))


def store_files() -> dict[str, str]:
    """The configurations of the collector and of the store of traces."""
    return {
        "collector/collector.yaml": yaml_text(store_collector()),
        "collector/jaeger.yaml": yaml_text(traces_config()),
    }


KINDS: Mapping[str, Callable[[Wish], dict[str, str]]] = {
    "prometheus": prometheus_files,
    "alerts": rule_files,
    "alertmanager": alertmanager_files,
    "grafana": grafana_files,
    "docker": docker_files,
    "kubernetes": kubernetes_files,
    "hosts": hosts_of,
    "clouds": clouds_of,
}
"""The generators, by the word that the command takes."""

ALL = "all"


def files_of(kind: str, wish: Wish) -> dict[str, str]:
    """The files of one kind; for `all`, the files of several kinds, each below a directory of its name.

    Raises:
        OperationsError: There is no such kind.
    """
    if kind == ALL:
        return merged([(name, KINDS[name](wish)) for name in ("prometheus", "alertmanager", "grafana")])
    named_by("generate", kind, [*KINDS, ALL])
    return KINDS[kind](wish)


def write_files(out: Path, files: Mapping[str, str], force: bool = False) -> list[str]:
    """Write the files that differ; a file that was changed by hand is not overwritten.

    Args:
        out: The directory, which is created.
        files: Texts by path.
        force: Whether to write over what was changed by hand.

    Returns:
        The paths that were written.

    Raises:
        OperationsError: A file was changed by hand, or was not generated; nothing is written then.
    """
    manifest = out / MANIFEST
    before = _read_manifest(manifest)
    stale = [path for path, text in files.items() if _read(out / path) != text]
    changed = [path for path in stale if _is_changed(out / path, before.get(path, ""))]
    if changed and not force:
        raise OperationsError(
            ", ".join(str(out / path) for path in changed),
            "was changed by hand, or is not one that was generated",
            "move it away, or write over it with --force",
        )
    for path in stale:
        _write(out / path, files[path])
    _write(
        manifest,
        json.dumps({**before, **{path: _digest(text) for path, text in files.items()}}, indent=1) + "\n",
    )
    return stale


def stale_files(out: Path, files: Mapping[str, str]) -> list[str]:
    """The paths of files that differ from the generated ones, or that would not be generated."""
    present = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} - {MANIFEST}
    return sorted(
        {path for path, text in files.items() if _read(out / path) != text} | (present - set(files))
    )


def merged(parts: Sequence[tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """Join several sets of files, each below its directory."""
    return {
        f"{directory}/{path}".lstrip("/"): text for directory, files in parts for path, text in files.items()
    }


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise OperationsError(str(path), f"cannot be read: {error}", "move it away") from None


def _is_changed(path: Path, digest: str) -> bool:
    text = _read(path)
    return text is not None and _digest(text) != digest


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read_manifest(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OperationsError(str(path), f"cannot be written: {error}", "choose another --out") from None
