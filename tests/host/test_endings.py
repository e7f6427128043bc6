"""What is to run at the end of a process, and is taken back before."""

from __future__ import annotations

import atexit
from collections.abc import Callable

import pytest

from otel_obs.host.endings import at_exit


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
