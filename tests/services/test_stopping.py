"""Nothing is left of services whose server ends in a way of its own."""

from __future__ import annotations

import importlib.util
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.services.life import places
from tests.services.table import WAYS, WSGI
from tests.support.processes import Service, tool
from tests.support.programs import ROOT, run
from tests.support.waiting import until

FLASK = (tool("flask"), "--app", WSGI, "run", "--port", "{port}")
WAITRESS = (tool("python"), "-m", "waitress", "--host=127.0.0.1", "--port={port}", WSGI)


def is_empty(base: Path) -> Callable[[], bool]:
    return lambda: not list(base.iterdir())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", [pytest.param(FLASK, id="flask"), pytest.param(WAITRESS, id="waitress")])
def test_a_server_that_leaves_sigterm_to_the_system(way: str, command: tuple[str, ...]) -> None:
    if "waitress" in command and importlib.util.find_spec("waitress") is None:
        pytest.skip("waitress is not installed")
    with places() as (base, directory):
        wrapper = [tool("opentelemetry-instrument"), "--"] if way == "wrapper" else []
        env = {"MATRIX_WAY": way, "OTEL_OBS_RUN_DIR": str(base)}
        with Service(*wrapper, *command, cwd=ROOT, env=env, log_file=directory / "log") as service:
            assert service.get("/hit").status == 200
            assert service.scrape().value("otel_obs_workers") == 1
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(150) == -signal.SIGTERM
            until(is_empty(base), "nothing left")


ENDS_AT_ONCE = """
import os
from otel_obs import prometheus
counted = prometheus.Counter("counted", "By forks")
for _ in range(2):
    child = os.fork()
    if child == 0:
        counted.inc()
        os._exit(0)
    os.waitpid(child, 0)
base = os.environ["OTEL_OBS_RUN_DIR"]
print(len([name for _, _, names in os.walk(base) for name in names if name.endswith(".cells")]))
"""


def test_forks_that_run_no_exit_handlers_beneath_a_process_that_has_recorded_nothing(tmp_path: Path) -> None:
    done = run(ENDS_AT_ONCE, env={"OTEL_OBS_RUN_DIR": str(tmp_path)})
    assert done.lines == ["2"]
    assert list(tmp_path.iterdir()) == []


FORKS_FOR_EACH_JOB = """
import os, sys, types
sys.modules["rq.worker"] = types.ModuleType("rq.worker")
for _ in range(2):
    child = os.fork()
    if child == 0:
        from otel_obs import prometheus
        prometheus.Counter("jobs", "By forks").inc()
        os._exit(0)
    os.waitpid(child, 0)
base = os.environ["OTEL_OBS_RUN_DIR"]
print(len([name for _, _, names in os.walk(base) for name in names if name.endswith(".cells")]))
"""


def test_forks_of_rq_beneath_a_process_that_never_loads_us(tmp_path: Path) -> None:
    assert run(FORKS_FOR_EACH_JOB, env={"OTEL_OBS_RUN_DIR": str(tmp_path)}).lines == ["2"]
    until(is_empty(tmp_path), "nothing left", 90)


NEVER_FORKS = """
import sys
from otel_obs import prometheus
prometheus.Counter("counted", "By nobody")
print("otel_obs.cells.opening" in sys.modules)
"""


def test_a_program_that_records_nothing_makes_no_directory(tmp_path: Path) -> None:
    assert run(NEVER_FORKS, env={"OTEL_OBS_RUN_DIR": str(tmp_path)}).lines == ["False"]
    assert list(tmp_path.iterdir()) == []
