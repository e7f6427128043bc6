"""What is to run at the end of a process, and is taken back before."""

from __future__ import annotations

import atexit
import signal
from collections.abc import Callable

import pytest

from otel_obs.host.endings import at_exit
from tests.support.programs import start


def test_what_is_taken_back_while_exit_handlers_run_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Python 3.14, where what is unregistered while they run is called all the same."""
    registered: list[Callable[[], object]] = []
    monkeypatch.setattr(atexit, "register", registered.append)
    monkeypatch.setattr(atexit, "unregister", lambda function: None)
    called: list[str] = []
    at_exit(lambda: called.append("kept"))
    forget = at_exit(lambda: called.append("taken back"))

    forget()
    for each in registered:
        each()

    assert called == ["kept"]


TWO_SIGNALS = """
import os, signal, sys
from otel_obs.host.endings import at_end, at_sigterm, watch_default

def leave():
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(100):  # where a handler may run
        pass
    print("has left", flush=True)

at_sigterm(leave, leave)
watch_default()
"""


@pytest.mark.parametrize("begins", ["os.kill(os.getpid(), signal.SIGTERM)", "at_end(leave)"])
def test_a_second_sigterm_does_not_end_a_process_that_is_leaving(begins: str) -> None:
    """Hypercorn ends all workers when one has ended, be it that a signal to all has reached them before."""
    program = start(TWO_SIGNALS + begins)
    said, _ = program.communicate(timeout=60)
    assert said == "has left\n"
    assert program.returncode == (-signal.SIGTERM if "kill" in begins else 0)


FAILING = """
import os, signal
from otel_obs.host.endings import at_sigterm, watch_default

def fail():
    raise AssertionError("not in this loop")

at_sigterm(fail, fail)
watch_default()
try:
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(100):  # where a handler may run
        pass
except AssertionError:
    print("the application has it", flush=True)
"""


def test_what_fails_as_a_signal_comes_is_not_raised_into_the_application() -> None:
    program = start(FAILING)
    said, _ = program.communicate(timeout=60)
    assert said == ""
    assert program.returncode == -signal.SIGTERM
