"""The server of its own: one process holds the port, another takes over, a taken port is no crash."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from otel_obs.cells.membership import Service as WorkersOfOneService
from otel_obs.rundir.directory import PREFIX
from otel_obs.serving import server
from otel_obs.serving.address import PortAddress
from otel_obs.serving.scrape import Scrape
from tests.serving.test_port import Page
from tests.support.ports import free_port
from tests.support.processes import Service, tool
from tests.support.programs import run
from tests.support.samples import Samples, parse_samples
from tests.support.waiting import until
from tests.support.web import request

ROOT = Path(__file__).parents[2]
COMMAND = (tool("opentelemetry-instrument"), tool("gunicorn"), "-b", "127.0.0.1:{port}", "-w", "3")
APP = "tests.apps.plain_flask:app"
LABELS = {"endpoint": "/items/<int:number>", "method": "GET", "status_code": "200"}


def scrape(port: int) -> Samples:
    return parse_samples(request(f"http://127.0.0.1:{port}/metrics").text)


def holder(port: int) -> int:
    """The process that listens on *port*."""
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
            assert connection.pid
            return connection.pid
    raise AssertionError(f"nobody listens on {port}")


def test_a_port_of_its_own_shows_every_request_of_every_worker(tmp_path: Path) -> None:
    port = free_port()
    env = {"OTEL_EXPORTER_PROMETHEUS_PORT": str(port), "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1"}
    with Service(*COMMAND, APP, cwd=ROOT, env=env, log_file=tmp_path / "log") as service:
        for number in range(30):
            service.get(f"/items/{number}")
        samples = until(lambda: scrape(port), "the server")
        assert samples.value("http_requests_total", **LABELS) == 30
        # The master, which has the port, is none of the workers, however often it is asked.
        assert holder(port) not in service.workers()
        workers = {str(pid) for pid in service.workers()}

        def seen() -> set[str]:
            return {labels["worker"] for labels in scrape(port).labels("otel_obs_worker_threads")}

        until(lambda: seen() == workers, "all workers")
        assert seen() == workers
        assert scrape(port).value("otel_obs_workers") == len(workers)
        assert service.get("/metrics").status == 404
        assert request(f"http://127.0.0.1:{port}/").status == 404
        assert request(f"http://127.0.0.1:{port}/metrics", method="POST", body=b"").status == 405
        assert request(f"http://127.0.0.1:{port}/metrics", method="HEAD").body == b""


def test_another_process_takes_over_when_the_holder_dies(tmp_path: Path) -> None:
    port = free_port()
    env = {"OTEL_EXPORTER_PROMETHEUS_PORT": str(port), "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1"}
    # Without the wrapper only workers know of it, so that one of them is the holder.
    command = (tool("gunicorn"), "-b", "127.0.0.1:{port}", "-w", "3", "tests.apps.instrumented_flask:app")
    with Service(*command, cwd=ROOT, env=env, log_file=tmp_path / "log") as service:
        for number in range(30):
            service.get(f"/items/{number}")
        first = until(lambda: holder(port), "a holder")
        assert first in service.workers()
        os.kill(first, signal.SIGKILL)
        until(lambda: holder(port) != first, "another holder")
        assert scrape(port).value("http_requests_total", **LABELS) == 30


def test_a_taken_port_is_said_once_and_the_service_serves(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        env = {
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
            "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
            "OTEL_OBS_METRICS_ON_BOTH": "true",
        }
        with Service(*COMMAND, APP, cwd=ROOT, env=env, log_file=tmp_path / "log") as service:
            assert service.get("/items/1").status == 200
            assert service.scrape().value("http_requests_total", **LABELS) == 1
            until(lambda: f"OTEL_EXPORTER_PROMETHEUS_PORT={port}" in service.log, "a line in the log")
            taken.close()
            assert until(lambda: scrape(port), "the port").value("http_requests_total", **LABELS) == 1


def test_the_port_is_left_to_the_workers_that_run_as_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "RETRY_S", 0.05)
    base, nonce, port = tmp_path / "base", "0123456789abcdef", free_port()
    base.mkdir()
    workers = WorkersOfOneService([str(base)], nonce)
    serving = server.MetricsServer(Scrape(Page()), PortAddress("127.0.0.1", port), workers)
    serving.start()
    try:
        until(lambda: request(f"http://127.0.0.1:{port}/metrics").status == 200, "the server")
        theirs = base / f"{PREFIX}{os.geteuid() + 1}" / nonce
        theirs.mkdir(parents=True)

        def can_be_had() -> bool:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
            return True

        until(can_be_had, "the port, for who has the numbers")
        theirs.rmdir()
        until(lambda: request(f"http://127.0.0.1:{port}/metrics").status == 200, "the server again")
    finally:
        serving.stop()
        workers.close()


def make_certificate(certificate: Path, key: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )


def test_a_certificate_makes_it_speak_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    port = free_port()
    env = {
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_OBS_METRICS_TLS_CERTIFICATE": str(certificate),
        "OTEL_OBS_METRICS_TLS_KEY": str(key),
        "OTEL_OBS_METRICS_TOKEN": "s3cret",
    }
    trusted = ssl.create_default_context(cafile=str(certificate))

    def answer(token: str) -> int:
        asked = urllib.request.Request(
            f"https://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {token}"}
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusted)
        )
        try:
            with opener.open(asked, timeout=10) as found:
                return int(found.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    with Service(*COMMAND, APP, cwd=ROOT, env=env, log_file=tmp_path / "log"):
        assert until(lambda: answer("s3cret"), "the server") == 200
        assert answer("wrong") == 401
        make_certificate(tmp_path / "new.pem", tmp_path / "new.key")
        trusted.load_verify_locations(str(tmp_path / "new.pem"))
        served = ssl.get_server_certificate(("127.0.0.1", port))
        os.replace(tmp_path / "new.key", key)
        os.replace(tmp_path / "new.pem", certificate)
        assert ssl.get_server_certificate(("127.0.0.1", port)) != served
        assert answer("s3cret") == 200


def test_a_fork_does_not_wait_for_the_port() -> None:
    code = """
    import os, socket, threading, time
    from otel_obs.serving import server
    import otel_obs
    server.RETRY_S = 60.0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    otel_obs.configure(prometheus_port=port, prometheus_host="127.0.0.1", runtime_metrics=False)
    from tests.support.waiting import until
    from tests.support.web import request
    until(lambda: request(f"http://127.0.0.1:{port}/metrics").status == 200, "the server")
    server = otel_obs.assembly.setup.Running.server._thread
    began_s, paused = time.monotonic(), []
    for _ in range(10):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    print(time.monotonic() - began_s < 30 and server.is_alive)
    until(lambda: request(f"http://127.0.0.1:{port}/metrics").status == 200, "the server")
    began_s = time.monotonic()
    otel_obs.shutdown()
    print(time.monotonic() - began_s < 30)
    # The thread of the last connection ends once it has seen that the client has gone.
    until(lambda: threading.active_count() == 1, "the end of all threads but the main one")
    """
    assert run(code).lines == ["True", "True"]
