"""Processes that somebody starts side by side: each is a service; with one id they are one, or say why."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from otel_obs.service import explain
from tests.support.processes import clean_env
from tests.support.programs import ROOT

WORKER = """
import os, sys
if "other version" in sys.argv:
    import otel_obs.rundir
    otel_obs.rundir.FILES_VERSION += 1
import otel_obs
from opentelemetry import metrics
otel_obs.configure()
counter = metrics.get_meter("side").create_counter("hits")
if "other user" in sys.argv:
    counter.add(0)
    otel_obs.get_metrics()
    otel_obs.shutdown()
    os.setuid(65534)
    otel_obs.configure()
counter.add(1)
def counted():
    page = otel_obs.get_metrics()[0].decode()
    print([line for line in page.splitlines() if line.startswith("hits_total")], flush=True)
print("ready", flush=True)
for _ in sys.stdin:
    counted()
"""


@contextmanager
def beside(base: Path, *arguments: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A process that counts one and tells what it sees as often as it is asked."""
    command = [sys.executable, "-c", WORKER, *arguments]
    variables = clean_env({"OTEL_OBS_RUN_DIR": str(base), **env})
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=variables,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        yield process
    finally:
        if process.poll() is None:
            process.communicate(timeout=240)


def counted(process: subprocess.Popen[str]) -> str:
    """What a process sees."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> str:
    """Let a process end; gives its log."""
    _, log = process.communicate(timeout=240)
    assert process.returncode == 0, log
    return log


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o1777)
        yield Path(directory)


def test_siblings_without_an_id_are_services_and_what_joins_them_is_said(base: Path) -> None:
    with beside(base) as one, beside(base) as other:
        for _ in range(2):
            assert counted(one) == counted(other) == "['hits_total 1.0']"
        explanation = explain(one.pid)
        assert explanation.alike == (other.pid,)
        assert "OTEL_OBS_SERVICE_ID" in explanation.remedy
        end(one)
        end(other)
    assert list(base.iterdir()) == []


def test_siblings_with_one_id_are_one_service(base: Path) -> None:
    with ExitStack() as running:
        workers = [running.enter_context(beside(base, OTEL_OBS_SERVICE_ID="shop")) for _ in range(3)]
        assert {counted(each) for each in workers} == {"['hits_total 3.0']"}
        assert "OTEL_OBS_SERVICE_ID" not in "".join(map(end, workers))


def test_an_id_that_begins_with_another_one_is_no_other_version_of_it(base: Path) -> None:
    with beside(base, OTEL_OBS_SERVICE_ID="shop") as one:
        with beside(base, OTEL_OBS_SERVICE_ID="shop.api") as other:
            assert counted(one) == counted(other) == "['hits_total 1.0']"
            with beside(base, OTEL_OBS_SERVICE_ID="shop") as another:
                assert counted(one) == counted(another) == "['hits_total 2.0']"
                assert "version" not in end(another)
            assert "version" not in end(other)
        assert "version" not in end(one)


@pytest.mark.parametrize("difference", ["other version", "other user"])
def test_one_id_of_processes_that_cannot_share_is_said_and_both_run(base: Path, difference: str) -> None:
    if difference == "other user" and os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    with beside(base, OTEL_OBS_SERVICE_ID="shop") as one:
        with beside(base, difference, OTEL_OBS_SERVICE_ID="shop") as other:
            assert counted(one) == counted(other) == "['hits_total 1.0']"
            log = end(other)
            word = "another version" if difference == "other version" else "user"
            assert (
                log.count(
                    f"OTEL_OBS_SERVICE_ID='shop' is also used by {'another ' * (word == 'version')}{word}"
                )
                == 1
            )
        assert counted(one) == "['hits_total 1.0']"
        end(one)
