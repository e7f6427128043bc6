"""What is written, what is kept, and that deploy/ is as it would be written now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from otel_obs.catalog import GROUPS
from otel_obs.catalog.kit.naming import Naming
from otel_obs.errors import OperationsError
from otel_obs.ops.bundle import Wish, alertmanager_files, prometheus_files, write_files
from otel_obs.ops.prometheus_config import RemoteWrite, ScrapeJob
from otel_obs.ops.service_facts import OPTIONAL, MonitoredService
from tests.ops.promtools import amtools, promtools

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def test_deploy_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/deploy.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")


def run(tool: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("promtool", promtools())
@pytest.mark.parametrize(
    "directory",
    [path.parent for path in sorted(DEPLOY.rglob("prometheus.yml")) if "grafana" not in path.parts],
    ids=lambda p: str(p.relative_to(DEPLOY)),
)
def test_promtool_accepts_every_configuration(promtool: str, directory: Path) -> None:
    agent = ["--agent"] if directory.name == "agent" else []

    done = run(promtool, "check", "config", *agent, "prometheus.yml", cwd=directory)

    if directory.name == "kubernetes" and "kubernetes_sd_configs not found" in done.stdout + done.stderr:
        pytest.skip("this promtool is built without Kubernetes' discovery")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "duplicate" not in done.stdout + done.stderr


@pytest.mark.parametrize("promtool", promtools())
@pytest.mark.parametrize(
    "naming",
    [
        Naming(profile="semconv"),
        Naming(namespace="shop", labels={"status_code": "status", "endpoint": "path"}),
    ],
    ids=["semconv", "renamed"],
)
def test_promtool_accepts_the_rules_of_other_names(promtool: str, naming: Naming, tmp_path: Path) -> None:
    service = MonitoredService.of_groups("shop", (*GROUPS, *OPTIONAL), naming)
    write_files(tmp_path, prometheus_files(Wish(service, (ScrapeJob("shop", ("localhost:8000",)),))))

    done = run(promtool, "check", "config", "prometheus.yml", cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "http_requests_total{" not in (tmp_path / "alerts" / "api_alerts.yml").read_text().replace(
        "shop_http", ""
    )


@pytest.mark.parametrize("promtool", promtools())
def test_promtool_refuses_a_misspelt_key(promtool: str, tmp_path: Path) -> None:
    text = (DEPLOY / "prometheus" / "local" / "alerts" / "api_alerts.yml").read_text()
    (tmp_path / "rules.yml").write_text(text.replace("annotations:", "annotation:"))

    assert run(promtool, "check", "rules", "rules.yml", cwd=tmp_path).returncode != 0


@pytest.mark.parametrize("amtool", amtools())
def test_amtool_accepts_the_configuration_and_routes_by_severity(amtool: str, tmp_path: Path) -> None:
    config = DEPLOY / "alertmanager" / "alertmanager.yml"
    local = tmp_path / "local.yml"
    local.write_text(
        alertmanager_files(Wish(MonitoredService.of_groups("a", []), (), webhook="http://127.0.0.1:9/"))[
            "alertmanager.yml"
        ]
    )

    for file in (config, local):
        checked = run(amtool, "check-config", str(file), cwd=tmp_path)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        for labels, receiver in (
            (("severity=critical", "alertname=TargetDown"), "oncall"),
            (("severity=warning", "alertname=SlowResponses"), "team"),
            (("severity=none", "alertname=Watchdog"), "watchdog"),
            (("alertname=SomebodyElses",), "team"),
        ):
            routed = run(
                amtool,
                "config",
                "routes",
                "test",
                f"--config.file={file}",
                f"--verify.receivers={receiver}",
                *labels,
                cwd=tmp_path,
            )
            assert routed.returncode == 0, routed.stdout + routed.stderr


def test_no_secret_is_in_what_is_generated() -> None:
    text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text()

    assert "_file: /etc/alertmanager/secrets/" in text
    assert "hooks.slack.com" not in text


FILES = {"a.yml": "one\n", "b/c.yml": "two\n"}


def test_what_is_as_it_should_be_is_left_alone(tmp_path: Path) -> None:
    assert write_files(tmp_path, FILES) == ["a.yml", "b/c.yml"]
    assert write_files(tmp_path, FILES) == []
    assert write_files(tmp_path, {**FILES, "a.yml": "three\n"}) == ["a.yml"]


def test_a_file_that_somebody_changed_is_named_and_kept(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    (tmp_path / "a.yml").write_text("mine\n")

    with pytest.raises(OperationsError) as raised:
        write_files(tmp_path, {"a.yml": "new\n", "b/c.yml": "new\n"})

    assert str(raised.value) == (
        f"{tmp_path / 'a.yml'} was changed by hand, or is not one that was generated; "
        "move it away, or write over it with --force"
    )
    assert [(tmp_path / name).read_text() for name in FILES] == ["mine\n", "two\n"]
    assert write_files(tmp_path, {"a.yml": "new\n"}, force=True) == ["a.yml"]


def test_a_file_of_somebody_else_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("mine\n")

    with pytest.raises(OperationsError, match="not one that was generated"):
        write_files(tmp_path, FILES)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ScrapeJob("a", ("localhost",)),
            "target 'localhost' is no host:port; write it as localhost:8000",
        ),
        (
            lambda: ScrapeJob("a", ("h:99999",)),
            "target 'h:99999' is no host:port; write it as localhost:8000",
        ),
        (
            lambda: ScrapeJob("a", ("h:1",), "10s", "15s"),
            "job 'a' has a time-out of 15s and an interval of 10s; let it give up before the next scrape",
        ),
        (
            lambda: ScrapeJob("a", ("h:1",), "soon", "15s"),
            "duration 'soon' is none that Prometheus knows; write it as 15s or 1m",
        ),
    ],
)
def test_a_job_that_prometheus_would_refuse_is_one_line(make: object, message: str) -> None:
    with pytest.raises(OperationsError) as raised:
        make()  # type: ignore[operator]

    assert str(raised.value) == message


def test_an_agent_needs_a_store() -> None:
    wish = Wish(MonitoredService.of_groups("a", []), (ScrapeJob("a", ("h:1",)),), place="agent")

    with pytest.raises(OperationsError, match="^an agent has nowhere to send to; give --remote-write URL$"):
        prometheus_files(wish)


def test_an_agent_has_no_rules() -> None:
    wish = Wish(
        MonitoredService.of_groups("a", []),
        (ScrapeJob("a", ("h:1",)),),
        place="agent",
        remote_write=(RemoteWrite("https://store"),),
    )

    assert list(prometheus_files(wish)) == ["prometheus.yml"]
