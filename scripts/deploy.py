"""Write deploy/: what stands around a service with every group, and around each of the examples.

Usage: python scripts/deploy.py [--check]    (--check writes nothing and exits 1 if a file is stale)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from otel_obs.catalog import GROUPS
from otel_obs.catalog.kit.naming import Naming
from otel_obs.ops.bundle import (
    ExtraBoard,
    Wish,
    alertmanager_files,
    clouds_of,
    grafana_files,
    hosts_of,
    kubernetes_files,
    merged,
    prometheus_files,
    provisioning_files,
    store_files,
)
from otel_obs.ops.compose import COLLECTOR_JOB, AppImage, ComposePaths, ComposeStack, store_sources
from otel_obs.ops.dashboards import DEMO, PLAIN, PRODUCTION
from otel_obs.ops.dockerfile import dockerfile, dockerignore
from otel_obs.ops.generated_files import stale_files
from otel_obs.ops.objectives import parse_objective
from otel_obs.ops.prometheus_config import RemoteWrite, ScrapeJob
from otel_obs.ops.service_facts import COLLECTOR, OPTIONAL, MonitoredService
from otel_obs.ops.yaml_text import yaml_text
from otel_obs.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
STORE = RemoteWrite(
    "https://store.example.org/api/v1/write", "tenant", "/etc/prometheus/secrets/store-password"
)
ITSELF = ScrapeJob("prometheus", ("localhost:9090",))


@dataclass(frozen=True)
class Example:
    """One of the services under examples/, and what its team wants around it."""

    name: str
    groups: tuple[str, ...]
    local: tuple[ScrapeJob, ...]
    docker: tuple[ScrapeJob, ...]
    interval: str = "15s"
    docker_interval: str = "15s"
    local_labels: tuple[tuple[str, str], ...] = ()
    docker_labels: tuple[tuple[str, str], ...] = ()
    language: str = "en"
    provider: str = "otel-obs"
    boards: tuple[ExtraBoard, ...] = ()
    objectives: tuple[str, ...] = ("availability=99.9", "latency=95%<500ms")
    compose_file: str = "docker-compose.monitoring.yml"
    containers: str = ""
    grafana_port: int = 3000

    def environment(self) -> dict[str, str]:
        """Its `service.env`."""
        lines = (ROOT / "examples" / self.name / "service.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def naming(self) -> Naming:
        """What its `service.env` asks for."""
        return Naming.from_settings(Settings.from_env(self.environment()))

    def wish(self, place: str) -> Wish:
        """What is generated for a place; the first job that is scraped there is the service."""
        jobs = self.docker if place == "docker" else self.local
        labels = self.docker_labels if place == "docker" else self.local_labels
        service = MonitoredService.of_groups(jobs[0].job, self.groups, self.naming())
        return Wish(
            service,
            (*jobs, ITSELF),
            objectives=tuple(map(parse_objective, self.objectives)),
            language=self.language,
            interval=self.docker_interval if place == "docker" else self.interval,
            external=dict(labels),
            alertmanager="alertmanager:9093" if place == "docker" else "localhost:9093",
            place=place,
            provider=self.provider,
            extra_boards=self.boards,
        )


REVIEWLENS = (
    ExtraBoard(PLAIN, "reviewlens_dashboard.json"),
    ExtraBoard(DEMO, "reviewlens-demo-kr.json", "ko"),
    ExtraBoard(PRODUCTION, "reviewlens-production-kr-v2.json", "ko"),
)
"""Three that the team imports by the names of their files."""

EXAMPLES = (
    Example(
        "aiclassifier",
        ("app", "model", "preprocessing_duration_seconds", "cache"),
        (ScrapeJob("aiclassifier", ("localhost:5000",), "15s"),),
        (ScrapeJob("aiclassifier", ("host.docker.internal:5000",), "15s"),),
        language="ko",
    ),
    Example(
        "reviewlens",
        (
            "dialogue",
            "llm",
            "llm_time_to_first_token_seconds",
            "llm_cost_usd_total",
            "pipeline",
            "active_evidence_gauge",
            "errors",
            "errors_total",
            "event_loop_lag_seconds",
        ),
        (
            ScrapeJob(
                "reviewlens-backend",
                ("localhost:8000",),
                "10s",
                labels={"service": "reviewlens-api", "env": "dev"},
                drops="go_.*",
            ),
        ),
        (
            ScrapeJob(
                "reviewlens-api",
                ("host.docker.internal:8000",),
                "10s",
                labels={"service": "reviewlens-api", "component": "backend"},
            ),
            ScrapeJob(
                "crawl-script",
                ("host.docker.internal:8001",),
                "30s",
                labels={"service": "crawl-script", "component": "crawler"},
            ),
        ),
        docker_interval="10s",
        local_labels=(("monitor", "reviewlens-monitor"), ("environment", "development")),
        docker_labels=(("cluster", "reviewlens"), ("environment", "development")),
        provider="ReviewLens Dashboards",
        containers="reviewlens",
        grafana_port=3001,
        boards=REVIEWLENS,
    ),
    Example(
        "sparklio",
        ("agent", "workflow", "context", "llm", "database", "db_connections", "event_loop_lag_seconds"),
        (ScrapeJob("sparklio-backend", ("localhost:8000",)),),
        (ScrapeJob("sparklio-backend", ("host.docker.internal:8000",)),),
    ),
    Example(
        "detector",
        ("detection", "llm", "api_keys"),
        (ScrapeJob("flask-app", ("localhost:5000",), "15s", "10s"),),
        (ScrapeJob("flask-app", ("host.docker.internal:5000",), "15s", "10s"),),
        compose_file="docker-compose.infra.yml",
        grafana_port=3100,
    ),
)


def default_wish(place: str) -> Wish:
    """For a service that has everything, under the default names."""
    service = MonitoredService.of_groups("service", (*GROUPS, *OPTIONAL, COLLECTOR))
    target = "host.docker.internal:8000" if place == "docker" else "localhost:8000"
    return Wish(
        service,
        (ScrapeJob("service", (target,)), ITSELF),
        objectives=(parse_objective("availability=99.9"), parse_objective("latency=95%<500ms")),
        alertmanager="alertmanager:9093" if place in ("docker", "kubernetes") else "localhost:9093",
        remote_write=(STORE,) if place == "agent" else (),
        place=place,
    )


def shown() -> Example:
    """The example that is built and run in containers."""
    return EXAMPLES[0]


def docker_parts() -> Iterator[tuple[str, dict[str, str]]]:
    """The image of an example, and compose files: with it, and around a service that runs elsewhere."""
    example, port = shown(), 5000
    source = f"examples/{example.name}"
    files = {
        "Dockerfile": dockerfile(example.name, source, port, example.environment()),
        "Dockerfile.dockerignore": dockerignore(source),
    }
    paths = ComposePaths(
        "./compose/prometheus",
        "./alertmanager/alertmanager.yml",
        "./compose/grafana/provisioning",
        f"./examples/{example.name}/grafana/dashboards",
        "./compose/collector/collector.yaml",
        "./compose/collector/jaeger.yaml",
    )
    app = AppImage(example.name, "deploy/Dockerfile", "..", port)
    files["compose.yaml"] = yaml_text(ComposeStack("otel-obs", paths, app=app).config())
    paths = ComposePaths("./prometheus/docker", provisioning="./grafana/provisioning")
    around = ComposeStack("monitoring", paths, has_stores=False)
    files["docker-compose.monitoring.yml"] = yaml_text(around.config())
    yield "", files
    wish = example.wish("docker")
    job = replace(wish.jobs[0], targets=(f"{example.name}:{port}",))
    wish = replace(wish, jobs=(job, COLLECTOR_JOB, ITSELF), sources=tuple(store_sources()))
    yield "compose/prometheus", prometheus_files(wish)
    yield "compose/grafana", provisioning_files(wish)
    yield "compose", store_files()


def on_kubernetes(example: Example) -> Wish:
    """What is generated for an example on Kubernetes."""
    wish = example.wish("docker")
    return replace(
        wish, environment=example.environment(), image=f"registry.example.org/{example.name}:1.0.0"
    )


def compose_of(example: Example) -> dict[str, str]:
    """The compose file around an example that runs on the machine itself, under its team's names."""
    paths = ComposePaths("./docker", "../../alertmanager/alertmanager.yml")
    stack = ComposeStack("monitoring", paths, example.containers, example.grafana_port, has_stores=False)
    return {example.compose_file: yaml_text(stack.config())}


def parts() -> Iterator[tuple[str, dict[str, str]]]:
    """Every directory below deploy/ with its files."""
    for place in ("local", "docker", "kubernetes", "agent"):
        yield f"prometheus/{place}", prometheus_files(default_wish(place))
    yield "prometheus/korean", prometheus_files(replace(default_wish("local"), language="ko"))
    yield "grafana", grafana_files(default_wish("docker"))
    yield "alertmanager", alertmanager_files(default_wish("docker"))
    for example in EXAMPLES:
        for place in ("local", "docker"):
            yield f"examples/{example.name}/{place}", prometheus_files(example.wish(place))
        yield f"examples/{example.name}/grafana", grafana_files(example.wish("docker"))
        yield f"examples/{example.name}", compose_of(example)
    yield from docker_parts()
    api = on_kubernetes(EXAMPLES[1])
    local = replace(EXAMPLES[1].wish("docker"), domain="reviewlens.example.org", server="uvicorn")
    yield "hosts", hosts_of(local)
    yield "", clouds_of(replace(api, namespace="ReviewLens"))
    yield "k8s", kubernetes_files(on_kubernetes(shown()))
    yield "examples/reviewlens/k8s", kubernetes_files(on_kubernetes(EXAMPLES[1]))


def main(arguments: Sequence[str]) -> int:
    """Write or check; the exit code."""
    files = merged(list(parts()))
    stale = stale_files(DEPLOY, files)
    for path in stale:
        if "--check" in arguments:
            print(f"deploy/{path} is stale; write it again with: make deploy", file=sys.stderr)
        elif path in files:
            (DEPLOY / path).parent.mkdir(parents=True, exist_ok=True)
            (DEPLOY / path).write_text(files[path], encoding="utf-8")
            print(f"wrote deploy/{path}")
        else:
            (DEPLOY / path).unlink()
            print(f"removed deploy/{path}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
