"""All generated files for one service, as texts by path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from otel_obs.ops.alerting import alert_files, alertmanager_config, alerts_of
from otel_obs.ops.alerts.alert import Links
from otel_obs.ops.clouds import CloudService, cloud_files, cloud_metrics
from otel_obs.ops.compose import (
    COLLECTOR_JOB,
    ComposeStack,
    project_name,
    store_collector,
    store_sources,
    traces_config,
)
from otel_obs.ops.dashboards import BOARDS, Board, dashboard, dashboard_text, provisioning
from otel_obs.ops.hosts import HostedService, host_files
from otel_obs.ops.kubernetes.kustomize import RELEASE, kubernetes_objects
from otel_obs.ops.kubernetes.workload import Workload
from otel_obs.ops.objectives import Objective, check_objective
from otel_obs.ops.prometheus_config import (
    RemoteWrite,
    ScrapeJob,
    kubernetes_jobs,
    prometheus_config,
    refuse_interval,
)
from otel_obs.ops.recording_rules import recording_rules
from otel_obs.ops.refusals import (
    NAME_REMEDY,
    refuse_address,
    refuse_doubles,
    refuse_host_name,
    refuse_image,
    refuse_labels,
    refuse_name,
    refuse_url,
)
from otel_obs.ops.service_facts import MonitoredService, named_by
from otel_obs.ops.yaml_text import yaml_text


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

    def __post_init__(self) -> None:
        """Refuse what would only fail where the files are read.

        Raises:
            OperationsError: A value is not what it should be; it is named.
        """
        refuse_address("--alertmanager", self.alertmanager, "localhost:9093")
        refuse_labels(self.external)
        for interval in (self.interval, *(job.interval for job in self.jobs if job.interval)):
            refuse_interval(interval)
        for what, url in (
            ("--runbooks", self.links.runbooks),
            ("--grafana", self.links.grafana),
            ("--webhook", self.webhook or self.links.grafana),
        ):
            refuse_url(what, url)
        refuse_doubles("job", (job.job for job in self.jobs), "give --job another name")
        refuse_doubles("objective", (each.name for each in self.objectives), "give --slo once for each")

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
    files = {
        "compose.yaml": yaml_text(ComposeStack(project_name(wish.service.job)).config()),
        **store_files(),
    }
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
    if wish.release:
        refuse_name("--release", wish.release, "give the name that `helm list` shows")
    workload = Workload(name, image_of(wish), wish.port, wish.environment)
    return kubernetes_objects(
        workload,
        [group for _, content in rule_groups(wish) for group in content["groups"]],
        {path.rpartition("/")[2]: text for path, text in dashboard_files(wish).items()},
        interval=wish.jobs[0].interval or wish.interval,
        timeout=wish.jobs[0].timeout or wish.timeout,
        release=wish.release,
    )


def image_of(wish: Wish) -> str:
    """The image of the service.

    Raises:
        OperationsError: What was given is no image's name.
    """
    image = wish.image or f"registry.example.org/{wish.service.job.lower()}:1"
    refuse_image(image)
    return image


def hosts_of(wish: Wish) -> dict[str, str]:
    """A systemd unit, proxy configurations with TLS, and log rotation."""
    refuse_name("service", wish.service.job, NAME_REMEDY)
    refuse_host_name("--domain", wish.domain)
    return host_files(HostedService(wish.service.job, wish.port, wish.domain, server=wish.server))


def clouds_of(wish: Wish) -> dict[str, str]:
    """An ECS task and a Cloud Run service, with a collector beside the application."""
    name = wish.service.job
    refuse_name("service", name, NAME_REMEDY)
    image = image_of(wish)
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


def bundle_files(kind: str, wish: Wish) -> dict[str, str]:
    """The files of one kind; for `all`, the files of several kinds, each below a directory of its name.

    Raises:
        OperationsError: There is no such kind.
    """
    if kind == ALL:
        return merged([(name, KINDS[name](wish)) for name in ("prometheus", "alertmanager", "grafana")])
    named_by("generate", kind, [*KINDS, ALL])
    return KINDS[kind](wish)


def merged(parts: Sequence[tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """Join several sets of files, each below its directory."""
    return {
        f"{directory}/{path}".lstrip("/"): text for directory, files in parts for path, text in files.items()
    }
