"""Workers are counted from when they begin to serve, before any of them records; masters never are."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from otel_obs.cells.foreign_file import SUFFIX
from tests.services.life import Life, places
from tests.services.table import ASGI, GUNICORN, SERVERS, WSGI, Cell, Server
from tests.support.ports import free_port
from tests.support.processes import Service, tool
from tests.support.programs import ROOT
from tests.support.running import is_running
from tests.support.samples import Samples, parse_samples
from tests.support.waiting import until
from tests.support.web import request

WAIT_S = 150.0
LATE = ("multiprocessing fork", "multiprocessing spawn", "multiprocessing forkserver")
"""Where nothing tells that a worker begins to serve, it joins at its first record or scrape."""

KNOWN = [each for each in SERVERS if each.workers and each.name not in LATE and each.family != "another user"]


def files_of(base: Path) -> list[Path]:
    """The files of the workers that have joined."""
    return list(base.rglob(f"*{SUFFIX}"))


@pytest.mark.parametrize("server", [pytest.param(each, id=each.name) for each in KNOWN])
def test_a_worker_joins_when_it_begins_to_serve(server: Server) -> None:
    cell = Cell(server, "prometheus", "a session of its own")
    if cell.impossible:
        pytest.skip(cell.impossible)
    with places() as (base, directory), Life(cell, base, directory) as life:
        # Nothing was recorded or scraped: `/health` is not measured here.
        wait_for_files(base, server.workers)
        page = until(lambda: parse_samples(life._scrape(life._ports[0])), "a scrape", WAIT_S)
        assert page.value("otel_obs_workers") == server.workers
        life.stop()


def test_a_worker_that_is_killed_before_any_record_was_started(tmp_path: Path) -> None:
    env = {"MATRIX_WAY": "prometheus", "OTEL_OBS_RUN_DIR": str(tmp_path / "run")}
    (tmp_path / "run").mkdir()
    command = (*GUNICORN[:3], "--no-control-socket", "-w", "2", WSGI)
    with Service(*command, cwd=ROOT, env=env, log_file=tmp_path / "log") as service:
        seen: set[Path] = set()
        for count in (2, 3, 4, 5):

            def have_begun(count: int = count) -> bool:
                seen.update(files_of(tmp_path))  # one of a dead worker may be folded
                return len(seen) == count

            until(have_begun, f"files of {count} workers", WAIT_S)
            if count < 5:
                os.kill(psutil.Process(service.pid).children()[0].pid, signal.SIGKILL)
        until(lambda: service.scrape().value("otel_obs_workers") == 2, "a scrape of two workers", WAIT_S)
        wait_for_starts(service.scrape, 5)


def wait_for_files(base: Path, count: int) -> None:
    """Wait for that many; one of a dead worker stays until a scrape."""
    until(lambda: len(files_of(base)) == count, f"files of {count} workers", WAIT_S)


def wait_for_starts(scrape: Callable[[], Samples], count: int) -> None:
    """Wait until that many have begun: a worker records it a moment after it has its file."""
    until(lambda: scrape().value("otel_obs_workers_started_total") == count, f"{count} starts", WAIT_S)


SCRAPES_FIRST = """
import time
from urllib.request import urlopen
def when_ready(server):
    page, ends_s = None, time.monotonic() + 60
    while page is None:  # the port is opened on a thread
        try:
            page = urlopen("http://127.0.0.1:{port}/metrics", timeout=60).read().decode()
        except OSError:
            if time.monotonic() > ends_s:
                raise
            time.sleep(0.02)
    (line,) = [line for line in page.splitlines() if line.startswith("otel_obs_workers ")]
    with open("{said}", "w") as said:
        said.write(line)
"""


@pytest.mark.parametrize("way", ["one line", "wrapper"])
def test_a_master_that_is_scraped_before_it_forks_is_no_worker(tmp_path: Path, way: str) -> None:
    own, said = free_port(), tmp_path / "said"
    config = tmp_path / "gunicorn.conf.py"
    config.write_text(SCRAPES_FIRST.format(port=own, said=said))
    env = {
        "MATRIX_WAY": way,
        "OTEL_OBS_RUN_DIR": str(tmp_path),
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(own),
    }
    wrapper = [tool("opentelemetry-instrument"), "--"] if way == "wrapper" else []
    options = ("--no-control-socket", "-c", str(config), "-w", "2", "--preload")
    command = (*wrapper, *GUNICORN[:3], *options, WSGI)
    with Service(*command, cwd=ROOT, env=env, log_file=tmp_path / "log") as service:
        assert service.get("/hit").status == 200
        wait_for_files(tmp_path, 2)

        def scrape() -> Samples:
            return parse_samples(request(f"http://127.0.0.1:{own}/metrics", timeout_s=60).text)

        wait_for_starts(scrape, 2)
        samples = scrape()
        assert said.read_text() == "otel_obs_workers 0.0"
        assert samples.value("otel_obs_workers") == 2
        assert samples.total("http_requests_total", endpoint="/hit") == 1


def test_the_master_that_takes_over_is_no_worker(tmp_path: Path) -> None:
    env = {"MATRIX_WAY": "one line", "OTEL_OBS_RUN_DIR": str(tmp_path)}
    pid_file = tmp_path / "pid"
    command = (
        *(*GUNICORN[:3], "--no-control-socket", "--pid", str(pid_file)),
        *("-w", "2", "--preload", WSGI),
    )
    with Service(*command, cwd=ROOT, env=env, log_file=tmp_path / "log") as service:
        wait_for_files(tmp_path, 2)
        os.kill(service.pid, signal.SIGUSR2)
        wait_for_files(tmp_path, 4)
        wait_for_starts(service.scrape, 4)
        assert service.scrape().value("otel_obs_workers") == 4
        new = int(Path(f"{pid_file}.2").read_text())
        os.kill(new, signal.SIGTERM)
        until(lambda: not is_running(new), "the end of the new master", WAIT_S)


def test_an_idle_process_of_dramatiq_is_counted(tmp_path: Path) -> None:
    pytest.importorskip("dramatiq")
    (tmp_path / "run").mkdir()
    env = {"OTEL_OBS_RUN_DIR": str(tmp_path / "run")}
    command = (tool("dramatiq"), "tests.services.apps.counted_dramatiq", "--processes", "2", "--threads", "1")
    with Service(*command, cwd=ROOT, env=env, log_file=tmp_path / "log", ready_path=None) as service:
        wait_for_files(tmp_path, 2)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(WAIT_S) == 0
    until(lambda: not list((tmp_path / "run").iterdir()), "nothing left", WAIT_S)


def test_an_idle_sibling_with_an_id_is_counted(tmp_path: Path) -> None:
    env = {
        "MATRIX_WAY": "one line",
        "OTEL_OBS_RUN_DIR": str(tmp_path),
        "OTEL_OBS_SERVICE_ID": "idle",
    }
    command = (tool("uvicorn"), "--port", "{port}", "--log-level", "warning", ASGI)
    with (
        Service(*command, cwd=ROOT, env=env, log_file=tmp_path / "one", ready_path=None),
        Service(*command, cwd=ROOT, env=env, log_file=tmp_path / "other", ready_path=None) as other,
    ):
        wait_for_files(tmp_path, 2)
        assert other.scrape().value("otel_obs_workers") == 2
