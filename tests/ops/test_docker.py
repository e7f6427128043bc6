"""Docker: compose files and the Dockerfile are checked by the tools that read them, and hold what was promised."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from otel_obs.ops.bundle import Wish, docker_files
from otel_obs.ops.compose import TRACES_IMAGE
from otel_obs.ops.generated_files import write_files
from otel_obs.ops.objectives import parse_objective
from otel_obs.ops.prometheus_config import ScrapeJob
from otel_obs.ops.service_facts import MonitoredService
from tests.ops.promtools import found
from tests.support.programs import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE, JAEGER = found("docker-compose"), found("jaeger-configs")
HADOLINT = Path(sys.executable).parent / "hadolint"
FILES = sorted([DEPLOY / "compose.yaml", *DEPLOY.rglob("docker-compose.*.yml")], key=lambda path: str(path))
needs_compose = pytest.mark.skipif(COMPOSE is None, reason="Docker Compose is not to be had")
needs_hadolint = pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is not installed")


def checked(file: Path) -> subprocess.CompletedProcess[str]:
    command = [str(COMPOSE), "--file", str(file), "config", "--format", "json"]
    env = {**os.environ, "HOME": str(file.parent)}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=env)


def config_of(file: Path) -> dict[str, Any]:
    done = checked(file)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@needs_compose
@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_compose_accepts_every_file_and_what_it_mounts_is_there(file: Path) -> None:
    config = config_of(file)

    for name, service in config["services"].items():
        assert service["restart"] == "unless-stopped", name
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name
        for mount in service.get("volumes", ()):
            is_secret = "secrets" in mount["source"]
            assert mount["type"] == "volume" or is_secret or Path(mount["source"]).exists(), mount
    text = file.read_text()
    assert "PASSWORD__FILE" in text
    assert "admin" not in text.replace("grafana-admin-password", "").lower().replace("security_admin", "")


@needs_compose
@pytest.mark.parametrize(
    ("right", "wrong"),
    [("restart:", "restrat:"), ("service_healthy", "service_healty"), ("healthcheck:", "healthchek:")],
)
def test_compose_refuses_what_is_misspelt(right: str, wrong: str, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text((DEPLOY / "compose.yaml").read_text().replace(right, wrong, 1))

    assert checked(file).returncode != 0


@needs_compose
def test_a_teams_file_has_the_names_that_it_knows() -> None:
    config = config_of(DEPLOY / "examples" / "reviewlens" / "docker-compose.monitoring.yml")

    prometheus, grafana = config["services"]["prometheus"], config["services"]["grafana"]
    assert prometheus["container_name"] == "reviewlens_prometheus"
    assert [mount["target"] for mount in prometheus["volumes"]] == ["/etc/prometheus", "/prometheus"]
    assert config["networks"]["default"]["name"] == "monitoring_default"
    assert [port["published"] for port in grafana["ports"]] == ["3001"]
    infra = config_of(DEPLOY / "examples" / "detector" / "docker-compose.infra.yml")
    assert [port["published"] for port in infra["services"]["grafana"]["ports"]] == ["3100"]


@needs_compose
def test_what_is_generated_for_a_service_is_whole(tmp_path: Path) -> None:
    service = MonitoredService.of_groups("shop", ["model"])
    jobs = (ScrapeJob("shop", ("host.docker.internal:8000",)),)
    write_files(tmp_path, docker_files(Wish(service, jobs, (parse_objective("availability=99.9"),))))

    config = config_of(tmp_path / "compose.yaml")

    assert list(config["services"]) == sorted(
        ["prometheus", "alertmanager", "grafana", "collector", "logs", "traces"]
    )
    missing = [
        mount["source"]
        for each in config["services"].values()
        for mount in each["volumes"]
        if mount["type"] == "bind" and "secrets" not in mount["source"] and not Path(mount["source"]).exists()
    ]
    assert missing == []
    scraped = yaml.safe_load((tmp_path / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    assert [job["job_name"] for job in scraped] == ["shop", "collector"]


@needs_compose
@pytest.mark.parametrize("job", ["서비스", "a/b c", "_Shop_"])
def test_compose_takes_the_project_of_any_service(job: str, tmp_path: Path) -> None:
    service = MonitoredService.of_groups(job, ["model"])
    jobs = (ScrapeJob(job, ("host.docker.internal:8000",)),)
    write_files(tmp_path, docker_files(Wish(service, jobs)))

    assert config_of(tmp_path / "compose.yaml")["name"] in ("monitoring", "a-b-c", "shop")


def lint(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HADOLINT, "--no-color", str(file)], capture_output=True, text=True, timeout=240)


@needs_hadolint
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = lint(DEPLOY / "Dockerfile")

    assert (done.returncode, done.stdout) == (0, "")


@needs_hadolint
def test_hadolint_finds_what_is_wrong(tmp_path: Path) -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    (tmp_path / "Dockerfile").write_text(text.replace("WORKDIR /service", "WORKDIR service"))

    assert "DL3000" in lint(tmp_path / "Dockerfile").stdout


def test_the_user_of_the_image_is_a_number() -> None:
    users = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line.startswith("USER")]

    assert users == ["USER 65532:65532"]


def keys(part: Any, at: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The paths of all keys of a configuration; a name of a store that somebody chose is a star."""
    if not isinstance(part, dict):
        return {at}
    found = {at}
    for key, value in part.items():
        found |= keys(value, (*at, "*" if at[-1:] == ("backends",) else str(key)))
    return found


@pytest.mark.skipif(JAEGER is None, reason="scripts/jaeger-configs gets them")
def test_the_store_of_traces_has_only_keys_that_its_own_configurations_have() -> None:
    assert JAEGER is not None
    shipped = set().union(*(keys(yaml.safe_load(file.read_text())) for file in JAEGER.glob("*.yaml")))
    ours = yaml.safe_load((DEPLOY / "compose" / "collector" / "jaeger.yaml").read_text())
    # The receiver, the server of queries and the batches are the collector's own, which other tests check.
    served = {("receivers", "otlp", "protocols", "http", "endpoint"), ("extensions", "jaeger_query", "http")}
    served |= {("extensions", "jaeger_query", "http", "endpoint")}

    assert len(shipped) > 100
    assert keys(ours) - shipped - served == set()
    assert TRACES_IMAGE.endswith(":2.13.0")


def test_the_image_is_given_all_files_that_a_wheel_is_built_of() -> None:
    """Where one is missing the image cannot be built; `make operations` builds it."""
    dockerfile, ignored = ((DEPLOY / f"Dockerfile{end}").read_text() for end in ("", ".dockerignore"))
    (copied,) = [line.split()[1:-1] for line in dockerfile.splitlines() if line.startswith("COPY pyproject")]

    scripts = [path.name for path in ROOT.glob("hatch_*.py")]
    assert scripts
    assert {"pyproject.toml", *scripts} <= set(copied)
    assert {f"!{name}" for name in copied} <= set(ignored.splitlines())
