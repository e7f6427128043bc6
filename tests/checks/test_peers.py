"""What `check` says of the endpoints of other libraries and servers, and of ours: nothing that is not so."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from otel_obs.checks.evidence import Limits
from otel_obs.checks.examination import Repetition, check_source
from otel_obs.reading.fetch import Fetching
from tests.support import systems
from tests.support.classifier import classifier, image
from tests.support.processes import Service, tool
from tests.support.prometheus import BINARY, MISSING, prometheus_server
from tests.support.systems import OfflineLlm
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
NODE_EXPORTER = shutil.which("prometheus-node-exporter")
OS = "node_os_info", "node_os_version"
LIMITS = Limits(scrape_s=60)


def found(service: Service, again: Repetition | None = None) -> Mapping[str, set[str]]:
    """The subjects of all findings, by code, after thirty requests for different items."""
    for number in range(30):
        service.get(f"/items/{number}")
    by_code = defaultdict(set)
    for finding in check_source(service.url + "/metrics", Fetching({}), LIMITS, again):
        by_code[finding.code].add(finding.subject)
    return dict(by_code)


def gunicorn(app: str, log_dir: Path, workers: int = 1, **env: str) -> Service:
    command = [tool("gunicorn"), "-w", str(workers), "-b", "127.0.0.1:{port}", app]
    return Service(*command, cwd=ROOT, env=env, log_file=log_dir / "gunicorn.log")


def uvicorn(app: str, log_dir: Path, *options: str) -> Service:
    command = [tool("uvicorn"), "--port", "{port}", *options, app]
    return Service(*command, cwd=ROOT, log_file=log_dir / "uvicorn.log")


def test_prometheus_client_with_one_worker(tmp_path: Path) -> None:
    with gunicorn("tests.apps.peers:with_prometheus_client()", tmp_path) as service:
        assert found(service) == {}


def test_prometheus_client_with_workers_that_know_nothing_of_each_other(tmp_path: Path) -> None:
    with gunicorn("tests.apps.peers:with_prometheus_client()", tmp_path, workers=3) as service:
        service.wait_for_workers(3)
        findings = found(service, Repetition(60))

    assert findings.keys() == {"OBS051"}
    assert "shop_requests_total" in findings["OBS051"]


def test_prometheus_flask_exporter(tmp_path: Path) -> None:
    """Its label `path` is the path that was asked for, and not the route."""
    with gunicorn("tests.apps.peers:with_flask_exporter()", tmp_path) as service:
        assert found(service) == {
            "OBS042": {"flask_http_request_duration_seconds", "flask_http_request_duration_seconds_created"}
        }


def test_prometheus_fastapi_instrumentator(tmp_path: Path) -> None:
    with uvicorn("tests.apps.peers:with_instrumentator", tmp_path, "--factory") as service:
        assert found(service) == {}


def test_starlette_exporter(tmp_path: Path) -> None:
    with uvicorn("tests.apps.peers:with_starlette_exporter", tmp_path, "--factory") as service:
        assert found(service) == {}


def test_the_stock_exporter_measures_in_milliseconds(tmp_path: Path) -> None:
    with gunicorn("tests.apps.peers:with_stock_exporter()", tmp_path) as service:
        assert found(service) == {"OBS024": {"http_server_duration_milliseconds"}}


def test_the_stock_exporter_with_several_workers(tmp_path: Path) -> None:
    with gunicorn("tests.apps.peers:with_stock_exporter()", tmp_path, workers=2) as service:
        service.wait_for_workers(2)
        # Which worker answers is chance: where they take turns once only, a counter seems to have been reset.
        until(
            lambda: found(service, Repetition(60)).keys() == {"OBS024", "OBS051"},
            "workers that take turns",
        )


@pytest.mark.skipif(BINARY is None, reason=MISSING)
def test_prometheus_itself(tmp_path: Path) -> None:
    with prometheus_server(tmp_path, {}) as service:
        assert found(service) == {}


@pytest.mark.skipif(NODE_EXPORTER is None, reason="Debian's prometheus-node-exporter is not installed")
def test_node_exporter(tmp_path: Path) -> None:
    """It names memory as the kernel does, and its labels of devices may be empty."""
    command = [str(NODE_EXPORTER), "--web.listen-address=127.0.0.1:{port}"]
    with Service(*command, log_file=tmp_path / "log", ready_path="/") as service:
        findings = dict(found(service))

    assert "node_memory_MemFree_bytes" in findings.pop("OBS025")
    assert findings.pop("OBS030", set()) <= {"node_disk_info", "node_network_info", *OS, "node_dmi_info"}
    assert findings == {}


@pytest.mark.parametrize("app", ["instrumented_flask", "plain_flask"])
def test_a_flask_service_of_ours_with_two_workers_is_healthy(app: str, tmp_path: Path) -> None:
    wrapper = [tool("opentelemetry-instrument")] if app.startswith("plain") else []
    command = [*wrapper, tool("gunicorn"), "-w", "2", "-b", "127.0.0.1:{port}", f"tests.apps.{app}:app"]
    with Service(*command, cwd=ROOT, log_file=tmp_path / "log") as service:
        service.wait_for_workers(2)
        assert found(service, Repetition(30)) == {}


def test_a_fastapi_service_of_ours_with_two_workers_is_healthy(tmp_path: Path) -> None:
    with uvicorn("tests.apps.instrumented_fastapi:app", tmp_path, "--workers", "2") as service:
        assert found(service, Repetition(30)) == {}


def test_the_classifier_is_healthy(tmp_path: Path) -> None:
    with classifier(tmp_path / "log", workers=2) as service:
        for number in range(200):
            assert service.post("/predict", {"image": image(number)}).status == 200
        assert found(service, Repetition(20)) == {}


def test_the_detector_is_healthy(tmp_path: Path) -> None:
    with (
        OfflineLlm(tmp_path / "llm.log") as llm,
        systems.gunicorn("detector", tmp_path / "log", llm.urls) as service,
    ):
        assert found(service, Repetition(20)) == {}


@pytest.mark.parametrize("example", ["reviewlens", "sparklio"])
def test_the_other_examples_are_healthy(example: str, tmp_path: Path) -> None:
    with (
        OfflineLlm(tmp_path / "llm.log") as llm,
        systems.uvicorn(example, tmp_path / "log", llm.urls) as service,
    ):
        assert found(service, Repetition(20)) == {}


def test_two_libraries_in_one_service_are_found(tmp_path: Path) -> None:
    with gunicorn("tests.apps.peers:with_ours_and_flask_exporter()", tmp_path) as service:
        assert found(service).keys() == {"OBS042", "OBS060"}
