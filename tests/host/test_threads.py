"""One thread of ours: never across a fork, never ended by an error for good."""

from __future__ import annotations

import logging
import os
import threading

import pytest

from otel_obs.host.threads import BackgroundThread
from tests.support.programs import run
from tests.support.waiting import until


def test_it_begins_once_and_ends_when_it_is_asked_to() -> None:
    begun: list[int] = []

    def work(stop: threading.Event) -> None:
        begun.append(threading.get_ident())
        stop.wait()

    thread = BackgroundThread(work, "ours")
    thread.start()
    thread.start()
    until(lambda: begun, "the thread's begin")

    assert thread.end(10.0)
    assert (len(begun), thread.is_alive) == (1, False)


def test_an_error_ends_it_and_the_next_start_begins_it_again(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    def work(stop: threading.Event) -> None:
        done.append(1)
        raise ValueError("broken")

    thread = BackgroundThread(work, "ours, broken")
    with caplog.at_level(logging.ERROR, "otel_obs"):
        for times in (1, 2):
            thread.start()
            until(lambda times=times: len(done) == times and not thread.is_alive, "its end")  # type: ignore[misc]

    assert [record.getMessage() for record in caplog.records] == [
        "the thread 'ours, broken' of otel_obs has ended"
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_none_is_alive_while_the_process_forks() -> None:
    code = """
    import os, threading, warnings
    from otel_obs.host.threads import BackgroundThread
    from tests.support.waiting import until
    warnings.simplefilter("error")  # a fork beside threads is a warning, from Python 3.12 on
    thread = BackgroundThread(lambda stop: stop.wait(), "ours")
    thread.start()
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            os._exit(threading.active_count() - 1 + thread.is_alive)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert thread.is_alive and threading.active_count() == 2
    print(thread.end(10))
    """
    assert run(code).lines == ["True"]
