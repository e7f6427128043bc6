"""Alerts fired for real: an example, Prometheus, Alertmanager, and a webhook that hears the page and its end."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_obs.catalog.kit.naming import Naming
from otel_obs.ops.bundle import Wish, alertmanager_files, prometheus_files
from otel_obs.ops.generated_files import write_files
from otel_obs.ops.prometheus_config import ScrapeJob
from otel_obs.ops.service_facts import MonitoredService
from otel_obs.settings import Settings
from tests.support.alertmanager import ALERTMANAGER, PageReceiver, alertmanager_server
from tests.support.classifier import DIRECTORY, image, settings
from tests.support.processes import Service, tool
from tests.support.prometheus import BINARY, PrometheusServer
from tests.support.waiting import until

WAIT_S = 120.0
BREAKABLE = """

from pathlib import Path

_train = DigitModel.__init__


def _train_unless_broken(self: DigitModel) -> None:
    if Path("broken").exists():
        raise RuntimeError("the model's file is damaged")
    _train(self)


DigitModel.__init__ = _train_unless_broken
"""


def hurried(text: str) -> str:
    """The same rules with seconds where they have minutes: what is true for 5 minutes is so for 1 second."""
    text = re.sub(r"(for|keep_firing_for): \d+m", r"\1: 1s", text)
    text = re.sub(r"\[5m\]", "[8s]", text)
    text = re.sub(r"(scrape|evaluation)_interval: \d+s", r"\1_interval: 1s", text)
    text = re.sub(r"scrape_timeout: \d+s", "scrape_timeout: 1s", text)
    text = re.sub(r"group_wait: \d+s", "group_wait: 100ms", text)
    return re.sub(r"(group_interval|repeat_interval): \w+", r"\1: 1s", text)


def breakable_classifier(directory: Path) -> Service:
    """The classifier, of which a worker's model is broken as long as there is a file `broken`."""
    shutil.copytree(DIRECTORY, directory)
    with (directory / "model.py").open("a") as model:
        model.write(BREAKABLE)
    return Service(
        tool("opentelemetry-instrument"),
        tool("gunicorn"),
        *("-w", "2", "-b", "127.0.0.1:{port}", "app:app"),
        cwd=directory,
        env=settings(),
        log_file=directory / "log",
        ready_path="/metrics",
        ready_s=WAIT_S,
    )


def send(service: Service) -> Callable[[], bool]:
    """Traffic while something is waited for: each call sends ten pictures."""

    def some() -> bool:
        for number in range(10):
            service.post("/predict", {"image": image(number)})
        return True

    return some


@pytest.mark.prometheus
@pytest.mark.skipif(ALERTMANAGER is None, reason="Debian's prometheus-alertmanager is not installed")
@pytest.mark.timeout(400)
def test_a_broken_model_pages_and_so_does_a_dead_target_and_both_end(tmp_path: Path) -> None:
    service = breakable_classifier(tmp_path / "classifier")
    monitored = MonitoredService.of_groups(
        "aiclassifier", ["model", "cache"], Naming.from_settings(Settings.from_env(settings()))
    )
    # Prometheus begins with a service that is up: one that it cannot reach yet is a model that is not loaded.
    with PageReceiver() as hook, service:
        wish = Wish(monitored, (ScrapeJob("aiclassifier", (f"127.0.0.1:{service.port}",)),), webhook=hook.url)
        config = hurried(alertmanager_files(wish)["alertmanager.yml"])
        with alertmanager_server(tmp_path / "alertmanager", config) as alertmanager:
            files = prometheus_files(wish)
            write_files(tmp_path / "prometheus", {path: hurried(text) for path, text in files.items()})
            prometheus = PrometheusServer(
                BINARY or "prometheus",
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--web.listen-address=127.0.0.1:{port}",
                cwd=tmp_path / "prometheus",
                log_file=tmp_path / "prometheus" / "log",
                ready_path="/-/ready",
            )
            main = tmp_path / "prometheus" / "prometheus.yml"
            main.write_text(main.read_text().replace("localhost:9093", f"127.0.0.1:{alertmanager.port}"))
            with prometheus:
                watch(service, prometheus, hook, tmp_path / "classifier" / "broken")


def watch(service: Service, prometheus: PrometheusServer, hook: PageReceiver, broken: Path) -> None:
    def received(name: str, status: str, meanwhile: Callable[[], bool] = lambda: True) -> dict[str, str]:
        def ask() -> list[dict[str, dict[str, str]]]:
            meanwhile()
            return hook.alerts(name, status)

        return until(ask, f"{name} {status}", WAIT_S)[-1]["annotations"]

    until(lambda: prometheus.target_health("aiclassifier") == ("up", ""), "the target is up", WAIT_S)
    until(send(service), "traffic")
    assert [hook.alerts(name, "firing") for name in ("ModelNotLoaded", "HighErrorRate", "TargetDown")] == [
        [],
        [],
        [],
    ]

    broken.touch()
    service.kill(service.wait_for_workers(2)[0])
    page = received("ModelNotLoaded", "firing", send(service))
    assert page["description"] == (
        f"The model of aiclassifier at 127.0.0.1:{service.port} is in error, for 1m; "
        "one worker is enough for that."
    )
    page = received("HighErrorRate", "firing", send(service))
    assert re.fullmatch(
        r"\d+(\.\d+)?% of the requests to aiclassifier ended with a 5xx status over the last 5 minutes; "
        "more than 5% for 5m.",
        page["description"],
    )

    broken.unlink()
    for worker in service.wait_for_workers(2):
        service.kill(worker)
    service.wait_for_workers(2)
    received("ModelNotLoaded", "resolved", send(service))
    received("HighErrorRate", "resolved", send(service))

    service.stop()
    page = received("TargetDown", "firing")
    assert page["description"] == (
        f"127.0.0.1:{service.port} of aiclassifier has not answered a scrape for 2m."
    )
    with service:
        received("TargetDown", "resolved")
