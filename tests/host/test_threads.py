"""One thread of ours: never across a fork, never ended by an error for good."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path
from textwrap import dedent

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


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs masks of signals")
def test_a_server_in_c_handles_no_signal_on_it_and_what_the_application_starts_gets_them() -> None:
    masks: dict[str, set[int]] = {}

    def look(name: str) -> None:
        masks[name] = set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    def work(stop: threading.Event) -> None:
        look("ours")
        BackgroundThread(lambda stop: look("the application's"), "theirs", gets_signals=True).start()
        BackgroundThread(lambda stop: look("of ours"), "ours, of ours").start()

    look("before")
    BackgroundThread(work, "ours").start()
    until(lambda: len(masks) == 4, "three threads")
    assert masks["the application's"] == masks["before"]
    assert masks["ours"] == masks["of ours"]
    assert {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1} <= masks["ours"]
    assert masks["ours"].isdisjoint({signal.SIGSEGV, signal.SIGBUS, signal.SIGPROF})


IMPORTING = """
import os, sys, threading, time
from pathlib import Path
from otel_obs.host.threads import BackgroundThread
from tests.support.waiting import until
directory = Path(sys.argv[1])
sys.path.insert(0, str(directory))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_can_import_what_a_thread_of_ours_was_importing(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import begun, time\ntime.sleep(1)\nwhole = True\n")
    (tmp_path / "begun.py").write_text("")
    code = """
    def work(stop):
        import slow

    thread = BackgroundThread(work, "ours")
    thread.start()
    until(lambda: "begun" in sys.modules, "the import's begin")
    pid = os.fork()
    if pid == 0:
        import slow
        os._exit(0 if slow.whole else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    assert run(IMPORTING + dedent(code), str(tmp_path)).lines == ["0"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_module_that_forks_as_it_is_imported_waits_for_no_thread_that_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "forking.py").write_text(
        dedent("""
        import os, sys, __main__
        __main__.thread.start()
        __main__.until(lambda: __main__.begun, "the other import")
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        status = os.waitpid(pid, 0)[1]
        """)
    )
    code = """
    from otel_obs.host import threads
    threads.IMPORT_S = 150.0
    begun = []

    def work(stop):
        begun.append(1)
        import forking

    thread = BackgroundThread(work, "ours")
    began_s = time.monotonic()
    import forking
    print(forking.status, time.monotonic() - began_s < 100)
    """
    assert run(IMPORTING + dedent(code), str(tmp_path)).lines == ["0 True"]
