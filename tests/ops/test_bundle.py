"""What is written, what is kept, and that deploy/ is as it would be written now."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from otel_obs.catalog import GROUPS
from otel_obs.catalog.kit.naming import Naming
from otel_obs.errors import OperationsError
from otel_obs.ops.alerts.alert import Links
from otel_obs.ops.board_uid import board_uid
from otel_obs.ops.bundle import Wish, alertmanager_files, bundle_files, prometheus_files
from otel_obs.ops.generated_files import write_files
from otel_obs.ops.objectives import parse_objective
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
    return subprocess.run([tool, *arguments], cwd=cwd, capture_output=True, text=True, timeout=240)


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


def test_what_is_no_longer_generated_is_removed_where_whole_directories_are_read(tmp_path: Path) -> None:
    before = {"prometheus.yml": "1\n", "alerts/api.yml": "2\n", "alerts/llm.yml": "3\n"}
    write_files(tmp_path, before)
    (tmp_path / "alerts" / "own.yml").write_text("somebody's\n")

    assert write_files(tmp_path, {"alerts/api.yml": "2\n"}) == ["alerts/llm.yml"]

    left = sorted(path.name for path in tmp_path.rglob("*.yml"))
    assert left == ["api.yml", "own.yml", "prometheus.yml"]
    # What another command has generated elsewhere stays.
    assert write_files(tmp_path, {"dashboards/a.json": "{}\n"}) == ["dashboards/a.json"]
    assert (tmp_path / "alerts" / "api.yml").exists()


def test_what_is_no_longer_generated_but_was_changed_is_named_and_kept(tmp_path: Path) -> None:
    write_files(tmp_path, {"alerts/api.yml": "2\n", "alerts/llm.yml": "3\n"})
    (tmp_path / "alerts" / "llm.yml").write_text("mine\n")

    with pytest.raises(OperationsError, match="llm.yml was changed by hand"):
        write_files(tmp_path, {"alerts/api.yml": "new\n"})

    assert (tmp_path / "alerts" / "api.yml").read_text() == "2\n"
    assert "alerts/llm.yml" in write_files(tmp_path, {"alerts/api.yml": "new\n"}, force=True)
    assert not (tmp_path / "alerts" / "llm.yml").exists()


def test_a_file_of_somebody_else_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("mine\n")

    with pytest.raises(OperationsError, match="not one that was generated"):
        write_files(tmp_path, FILES)


def test_a_run_that_could_not_write_everything_leaves_nothing_that_looks_changed(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.yml": "1\n", "b/c.yml": "1\n"})
    (tmp_path / "d").write_text("in the way\n")

    with pytest.raises(OperationsError, match="d/e.yml"):
        write_files(tmp_path, {"a.yml": "2\n", "b/c.yml": "2\n", "d/e.yml": "2\n"}, force=True)
    (tmp_path / "d").unlink()

    assert write_files(tmp_path, {"a.yml": "3\n", "b/c.yml": "3\n"}) == ["a.yml", "b/c.yml"]


def test_a_file_that_was_cut_by_a_full_disk_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, FILES)
    whole = Path.write_text

    def cut(path: Path, text: str, *arguments: Any, **more: Any) -> int:
        if path.name != "c.yml":
            return whole(path, text, *arguments, **more)
        whole(path, text[:4], *arguments, **more)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "write_text", cut)
        with pytest.raises(OperationsError, match="c.yml cannot be written: .*No space left"):
            write_files(tmp_path, {**FILES, "b/c.yml": "twenty\n"})
    assert (tmp_path / "b" / "c.yml").read_text() == "twen"

    assert write_files(tmp_path, {**FILES, "b/c.yml": "thirty\n"}) == ["b/c.yml"]


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
        (lambda: ScrapeJob("a", ("h:1", "h:1")), "target 'h:1' is there twice; give it once"),
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


SHOP = MonitoredService.of_groups("shop", ["http"])
JOBS = (ScrapeJob("shop", ("h:1",)),)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"alertmanager": "http://localhost:9093"}, "--alertmanager 'http://localhost:9093' is no host:port"),
        ({"alertmanager": "localhost"}, "--alertmanager 'localhost' is no host:port"),
        ({"alertmanager": "localhost:0"}, "--alertmanager 'localhost:0' is no host:port"),
        ({"webhook": "foo"}, "--webhook 'foo' is no URL; write it as https://host/path"),
        ({"webhook": "http://"}, "--webhook 'http://' is no URL"),
        ({"webhook": "http://[::1"}, "--webhook 'http://[::1' is no URL"),
        ({"links": Links(grafana="x y'{{")}, '--grafana "x y\'{{" is no URL'),
        ({"links": Links(runbooks='https://x"y')}, "is no URL"),
        (
            {"external": {"a-b": "c"}},
            "label 'a-b' has no name that Prometheus takes; use letters, digits and _",
        ),
        ({"external": {"__name__": "c"}}, "label '__name__' has no name that Prometheus takes"),
        ({"jobs": (*JOBS, *JOBS)}, "job 'shop' is there twice; give --job another name"),
        (
            {"interval": "5m"},
            (
                "interval '5m' is too long: rates are over 5 minutes, and Prometheus forgets a sample after 5; "
                "give one of at most 120 s"
            ),
        ),
        (
            {"objectives": (parse_objective("availability=99.9"), parse_objective("availability=99.5"))},
            "objective 'availability' is there twice; give --slo once for each",
        ),
        (
            {"objectives": (parse_objective("latency=95%<500ms"), parse_objective("latency=99%<0.5s"))},
            "objective 'latency-0.5s' is there twice; give --slo once for each",
        ),
    ],
)
def test_a_wish_that_no_program_would_read_is_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OperationsError) as raised:
        Wish(SHOP, **{"jobs": JOBS, **given})

    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("hosts", {"service": "../x"}, "service '../x' has a name that does not fit files and objects"),
        ("hosts", {"service": "a b"}, "service 'a b' has a name that does not fit files and objects"),
        ("hosts", {"domain": "a b"}, "--domain 'a b' is no host's name; write it as shop.example.org"),
        ("hosts", {"domain": "x;}"}, "--domain 'x;}' is no host's name"),
        (
            "clouds",
            {"service": "My Shop"},
            "service 'My Shop' has a name that does not fit files and objects",
        ),
        ("clouds", {"image": "a b:1"}, "--image 'a b:1' is no image"),
        ("kubernetes", {"image": "a\nb"}, "is no image; write it as registry.example.org/shop:1"),
        ("kubernetes", {"release": "a b"}, "--release 'a b' has a name that does not fit files and objects"),
        (
            "alerts",
            {"limits": {"HighErrorRate": 1.5}},
            "--limit HighErrorRate=1.5 is always or never reached",
        ),
        ("alerts", {"limits": {"HighErrorRate": -1}}, "give a number from 0 to below 1"),
        ("alerts", {"limits": {"HighMemoryUsage": 100}}, "give a number from 0 to below 100"),
        ("alerts", {"limits": {"SlowResponses": -2}}, "give a number from 0"),
    ],
)
def test_files_that_could_not_be_used_are_not_made(kind: str, given: dict[str, Any], message: str) -> None:
    service = MonitoredService.of_groups(given.pop("service", "shop"), ["http", "process"])

    with pytest.raises(OperationsError) as raised:
        bundle_files(kind, Wish(service, (ScrapeJob(service.job, ("h:1",)),), **given))

    assert message in str(raised.value)


@pytest.mark.parametrize("url", ["foo", "ftp://x/y", "", "http://h/a b", "https://h:99999/"])
def test_a_store_that_has_no_address_is_one_line(url: str) -> None:
    with pytest.raises(OperationsError, match="is no URL; write it as https://host/path"):
        RemoteWrite(url)


@pytest.mark.parametrize("job", ["a/b c", "서비스", "x" * 80, "shop"])
def test_a_dashboard_has_a_uid_that_grafana_takes_and_that_alerts_link_to(job: str) -> None:
    uids = {board_uid(job, slug) for slug in ("overview", "dialogue", "slo")}

    assert len(uids) == 3
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,40}", uid) for uid in uids)
    wish = Wish(MonitoredService.of_groups(job, ["http"]), (ScrapeJob(job, ("h:1",)),))
    alerts = bundle_files("alerts", wish)["alerts/api_alerts.yml"]
    assert f"/d/{board_uid(job, 'overview')}?var-job={quote(job)}" in alerts
    assert board_uid("shop", "slo") == "shop-slo"


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
