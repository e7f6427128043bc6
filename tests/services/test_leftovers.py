"""What a killed test run leaves is ended, and no supervisor of the tests restarts without an end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.services.table import PROGRAM, SUPERVISOR
from tests.support.leftovers import members
from tests.support.processes import Service, clean_env
from tests.support.programs import ROOT
from tests.support.running import is_running
from tests.support.waiting import until

SLEEPER = "import os, time; os.setsid(); time.sleep(600)"
"""A process in a session of its own, as circus makes them."""

RUN = """
import sys, time
from tests.support.processes import Service
with Service(*sys.argv[2:], log_file=sys.argv[1], ready_path=None) as service:
    print(service.pid, flush=True)
    time.sleep(600)
"""
RESTARTING = [*SUPERVISOR[:3], "1,2", sys.executable, "-c", SLEEPER]


def test_a_killed_run_leaves_no_supervisor_and_nothing_that_it_started(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path / "log"), *RESTARTING]
    with subprocess.Popen(command, cwd=ROOT, env=clean_env(), stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        session = int(run.stdout.readline())
        family = until(three_of(session), "the supervisor's processes")
        run.kill()
    until(lambda: not any(map(is_running, family)), "the end of all")


def test_stopping_a_supervisor_that_hangs_leaves_nothing(tmp_path: Path) -> None:
    with Service(*RESTARTING, cwd=ROOT, log_file=tmp_path / "log", ready_path=None) as service:
        family = until(three_of(service.pid), "the supervisor's processes")
        service.stop(signal.SIGSTOP)
    assert not any(map(is_running, family))


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([*SUPERVISOR[:3], "1", "false"], id="commands"),
        pytest.param([*PROGRAM, "fork", "0", "1"], id="processes"),  # which fail without MATRIX_WAY
    ],
)
def test_what_ends_at_once_is_started_a_few_times_only(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, env=clean_env(), capture_output=True, text=True, timeout=120)
    assert " ended 5 times" in done.stderr


def three_of(session: int) -> Callable[[], set[int]]:
    """Gives the processes of a session when there are three."""

    def look() -> set[int]:
        found = members({session})
        return found if len(found) == 3 else set()

    return look
