"""Metrics at a Unix socket: its file is one process's, and never in the way of the next."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_obs.errors import SettingError
from otel_obs.settings import Settings
from tests.support.processes import Service, tool
from tests.support.programs import ROOT
from tests.support.samples import Samples, parse_samples
from tests.support.waiting import until

COMMAND = (tool("opentelemetry-instrument"), tool("gunicorn"), "-b", "127.0.0.1:{port}", "-w", "2")
APP = "tests.apps.plain_flask:app"
LABELS = {"endpoint": "/items/<int:number>", "method": "GET", "status_code": "200"}


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory of a short name: a socket's path has 107 bytes."""
    made = Path(tempfile.mkdtemp(prefix="sock", dir="/tmp"))
    yield made
    shutil.rmtree(made)


def curl(path: Path, *options: str) -> str:
    command = ["curl", "-sS", "--max-time", "20", "--unix-socket", str(path), *options]
    done = subprocess.run([*command, "http://localhost/metrics"], capture_output=True, text=True)
    return done.stdout


def scrape(path: Path) -> Samples:
    return parse_samples(curl(path))


def counts(path: Path) -> float:
    with contextlib.suppress(Exception):
        return scrape(path).value("http_requests_total", **LABELS)
    return 0.0


def service(path: Path, log: Path, *command: str, **env: str) -> Service:
    given = {"OTEL_EXPORTER_PROMETHEUS_HOST": f"unix:{path}", **env}
    return Service(*(command or (*COMMAND, APP)), cwd=ROOT, env=given, log_file=log)


def test_curl_reads_every_workers_requests_and_the_file_goes_with_the_service(directory: Path) -> None:
    path = directory / "metrics.sock"
    with service(path, directory / "log") as running:
        for number in range(12):
            assert running.get(f"/items/{number}").status == 200
        until(lambda: counts(path) == 12, "the socket")
        assert running.get("/metrics").status == 404
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert "HTTP/1.1 401" not in curl(path, "-i")
    until(lambda: not path.exists(), "the end of the file")


def test_a_file_that_a_killed_service_left_is_replaced_and_one_that_is_removed_is_made_anew(
    directory: Path,
) -> None:
    path = directory / "metrics.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with service(path, directory / "log") as running:
        running.get("/items/1")
        until(lambda: counts(path) == 1, "the socket")
        path.unlink()
        until(lambda: counts(path) == 1, "another file")


def test_a_worker_takes_over_when_the_holder_is_killed(directory: Path) -> None:
    path = directory / "metrics.sock"
    # Without the wrapper only workers know of it, so that one of them is the holder.
    command = (tool("gunicorn"), "-b", "127.0.0.1:{port}", "-w", "2", "tests.apps.instrumented_flask:app")
    with service(path, directory / "log", *command) as running:
        running.get("/items/1")
        until(lambda: counts(path) == 1, "the socket")
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(path))
            # struct ucred: pid, uid, gid
            holder = int.from_bytes(
                asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], "little"
            )
        assert holder in running.workers()
        os.kill(holder, signal.SIGKILL)
        until(lambda: counts(path) == 1, "another holder")


def test_a_file_that_is_no_socket_stays_and_is_said(directory: Path) -> None:
    path, log = directory / "metrics.sock", directory / "log"
    path.write_text("mine")
    with service(path, log) as running:
        assert running.get("/items/1").status == 200
        line = (
            f"OTEL_EXPORTER_PROMETHEUS_HOST=unix:{path} cannot be served: exists and is no socket; move it "
            "away, or choose another path; it is tried again every 1 s"
        )
        until(lambda: line in log.read_text(), "the line")
        assert log.read_text().count("cannot be served") == 1
    assert path.read_text() == "mine"


def test_a_socket_of_another_service_is_left_to_it(directory: Path) -> None:
    path, log = directory / "metrics.sock", directory / "log"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with service(path, log):
            until(lambda: "cannot be served: is served by another process" in log.read_text(), "the line")
        assert path.exists()


def test_a_directory_that_is_not_there_is_said(directory: Path) -> None:
    path, log = directory / "none" / "metrics.sock", directory / "log"
    with service(path, log) as running:
        line = f"unix:{path} cannot be served: No such file or directory"
        until(lambda: line in log.read_text(), "a line")
        path.parent.mkdir()
        running.get("/items/1")
        until(lambda: counts(path) == 1, "the socket")


@pytest.mark.parametrize("host", ["unix:", "unix:metrics.sock", "unix:/run/", "unix:/" + "a" * 107])
def test_a_path_that_no_socket_can_have_is_refused(host: str) -> None:
    with pytest.raises(SettingError) as refused:
        Settings.from_env({"OTEL_EXPORTER_PROMETHEUS_HOST": host})
    assert str(refused.value) == (
        f"OTEL_EXPORTER_PROMETHEUS_HOST={host!r} is no address; expected a host, or unix: and the full path "
        "of a file, of at most 107 bytes"
    )


def test_a_socket_has_no_port() -> None:
    settings = Settings.from_env(
        {"OTEL_EXPORTER_PROMETHEUS_HOST": "unix:/run/m.sock", "OTEL_EXPORTER_PROMETHEUS_PORT": "9464"}
    )
    assert settings.warnings == (
        (
            "OTEL_EXPORTER_PROMETHEUS_PORT=9464 has no effect beside "
            "OTEL_EXPORTER_PROMETHEUS_HOST=unix:/run/m.sock"
        ),
    )
    assert settings.has_own_server
    assert not settings.serves_on_app
