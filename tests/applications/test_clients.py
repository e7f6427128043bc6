"""Packages that count with `prometheus_client` and are too large for the suite: exact over four workers."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.applications import programs
from tests.applications.test_applications import LIMIT_S, READY_S, environment, pytestmark
from tests.support.processes import Service
from tests.support.waiting import until
from tests.support.web import request

__all__ = ["pytestmark"]  # as there: `make applications` installs and runs these

SENT, CLIENTS, SCRAPES = 60, 8, 6


@pytest.mark.timeout(LIMIT_S)
def test_litellms_metrics_are_right_over_four_workers(tmp_path: Path, base: Path) -> None:
    """It counts a call in a task of its own, some time after the answer."""
    commands = environment("litellm")
    (tmp_path / "app.py").write_text(programs.LITELLM_METRICS)
    patience = ("--timeout-worker-healthcheck", str(READY_S))
    command = (str(commands / "uvicorn"), "--port", "{port}", "--workers", "4", *patience, "app:app")
    with service(tmp_path, base, commands, command, "/docs") as running:
        send(running, "GET")

        def counted() -> float:
            return running.scrape().total("litellm_requests_metric_total")

        until(lambda: counted() == SENT, "all calls counted", READY_S)
        assert {counted() for _ in range(SCRAPES)} == {SENT}


@pytest.mark.timeout(LIMIT_S)
def test_bentomls_client_is_right_over_four_workers(tmp_path: Path, base: Path) -> None:
    """It has the client write files, which a worker reads for BentoML's own page of metrics."""
    commands = environment("bentoml")
    (tmp_path / "echo.py").write_text(programs.BENTO_METRICS)
    command = (str(commands / "bentoml"), "serve", "echo:Hits", "--host", "127.0.0.1", "--port", "{port}")
    with service(tmp_path, base, commands, command, "/livez") as running:
        send(running, "POST")
        shown = {running.scrape().value("hits_total", kind="echo") for _ in range(SCRAPES)}
        assert shown == {SENT}


def service(cwd: Path, base: Path, commands: Path, command: tuple[str, ...], ready: str) -> Service:
    """The command under the wrapper."""
    env = {"OTEL_OBS_RUN_DIR": str(base), "PATH": f"{commands}:{os.environ['PATH']}", "HOME": str(cwd)}
    front = (str(commands / "python"), "-m", "otel_obs.run")
    return Service(
        *front, *command, cwd=cwd, env=env, log_file=cwd / "log", ready_path=ready, ready_s=READY_S
    )


def send(running: Service, method: str) -> None:
    """Send the requests, several at a time, so that every worker gets some."""
    until(lambda: running.get("/metrics").status == 200, "metrics", READY_S)
    body: object = {} if method == "POST" else None
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = pool.map(
            lambda _: request(running.url + "/hit", method=method, json_body=body).status,
            range(SENT),
        )
        assert list(answers) == [200] * SENT
