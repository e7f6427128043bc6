"""What hangs is left behind: it takes along neither who waits nor what comes after it."""

from __future__ import annotations

import threading
import time

from otel_obs.host.errands import Errand, Errands
from tests.support.programs import run
from tests.support.waiting import until


class Log:
    def __init__(self) -> None:
        self.left: list[str] = []
        self.returned: list[str] = []
        self.done: list[str] = []
        self.errands = Errands(self.left.append, self.returned.append)

    def errand(self, name: str, wait: threading.Event | None = None) -> Errand:
        def work() -> None:
            if wait is not None:
                wait.wait()
            self.done.append(name)

        return Errand(name, work)


def test_all_are_done_on_another_thread_before_it_comes_back() -> None:
    log, threads = Log(), set()
    errands = [Errand(number, lambda: threads.add(threading.get_ident())) for number in range(5)]

    log.errands.run([*errands, log.errand("last")], 10.0)

    assert log.done == ["last"]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_one_that_hangs_is_left_behind_and_not_begun_again() -> None:
    log, wait = Log(), threading.Event()
    began_s = time.monotonic()

    log.errands.run([log.errand("hangs", wait), log.errand("next")], 0.2)

    assert log.left == ["hangs"]
    until(lambda: log.done == ["next"], "what comes after it")
    assert time.monotonic() - began_s < 15
    assert log.errands.hanging_s("hangs") > 0.2
    log.errands.run([log.errand("hangs"), log.errand("again")], 10.0)
    assert log.done == ["next", "again"]

    wait.set()
    until(lambda: log.returned == ["hangs"], "its return")
    assert not log.errands.is_under_way("hangs")
    log.errands.run([log.errand("hangs")], 10.0)
    assert log.done == ["next", "again", "hangs", "hangs"]
    assert log.left == ["hangs"]


def test_what_another_thread_has_begun_is_waited_for() -> None:
    log, wait = Log(), threading.Event()
    other = threading.Thread(target=log.errands.run, args=([log.errand("slow", wait)], 60.0))
    other.start()
    until(lambda: log.errands.is_under_way("slow"), "its begin")
    threading.Timer(0.1, wait.set).start()

    log.errands.wait(["slow"], 60.0)

    assert log.done == ["slow"]
    other.join()


def test_an_ending_process_does_it_all_on_one_thread() -> None:
    code = """
    import atexit
    from otel_obs.host.errands import Errand, Errands
    errands = Errands(print, print)
    def end():
        errands.run([Errand(1, lambda: print("one")), Errand(2, lambda: print("two"))], 1.0)
    atexit.register(end)
    """
    assert run(code).lines == ["one", "two"]


def test_a_fork_does_not_wait_for_what_was_left_behind() -> None:
    code = """
    import os, threading, time
    from otel_obs.host import threads
    from otel_obs.host.errands import Errand, Errands
    threads.PAUSE_S = 10.0
    errands = Errands(lambda key: None, lambda key: None)
    wait = threading.Event()
    errands.run([Errand("hangs", wait.wait)], 0.05)
    began_s = time.monotonic()
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            os._exit(errands.is_under_way("hangs"))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    print(time.monotonic() - began_s < 100)
    wait.set()
    """
    assert run(code).lines == ["True"]


def test_one_that_hangs_where_there_was_no_time_left_is_found_by_who_waits_for_it() -> None:
    log, wait, slow = Log(), threading.Event(), threading.Event()

    log.errands.run([log.errand("first", wait), log.errand("second", slow)], 0.2)
    until(lambda: log.errands.is_under_way("second"), "its begin")

    def is_left() -> bool:
        log.errands.wait(["second"], 0.2)
        return "second" in log.left

    until(is_left, "the end of the patience")
    log.errands.wait(["second"], 0.2)
    assert sorted(log.left) == ["first", "second"]

    wait.set()
    slow.set()
    until(lambda: sorted(log.returned) == ["first", "second"], "their return")
