"""Functions that run just before a process ends, without disturbing the signal handlers of others."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from otel_obs.host import forks, proc
from otel_obs.host.signals import tolerate

Act = Callable[[], None]

_UVICORN = "uvicorn.server"
"""uvicorn stops in order, then raises the signal again: that ends the process without exit handlers."""
_GUNICORN = "gunicorn.workers."
"""A worker of gunicorn that still has a request when its time is up is killed."""
_GREENLETS = {"gevent", "eventlet"}
"""Their loop calls signal handlers, which must not wait there: as little as a start of a process does."""


class _Waiting(NamedTuple):
    """What runs at SIGTERM: `end` just before the signal ends the process, or `prepare` as it arrives."""

    end: Act
    prepare: Act


_waiting: list[_Waiting] = []
_undo: list[Act] = []
_last: list[Any] = []
"""Our handlers of SIGTERM after which the process ends."""
_acts_of: list[int] = []
"""The process, once for each act that is running."""


def at_exit(act: Act) -> Act:
    """Have *act* called by the interpreter's exit handlers.

    Returns:
        A function that takes the registration back, also while exit handlers run: Python 3.14 calls each that
        was registered when the first one began.
    """
    waiting = [act]

    def run() -> None:
        for each in waiting:
            each()

    def forget() -> None:
        waiting.clear()
        atexit.unregister(run)

    atexit.register(run)
    return forget


def at_end(act: Act) -> Act:
    """Have *act* called last when this process ends in order; it may be called twice.

    Returns:
        A function that takes the registration back.
    """
    act = _in_this_process(act)
    forget_handler = at_exit(act)
    forget_task_worker = _at_end_of_task_worker(act)
    process: Any = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None:

        def forget_both() -> None:
            forget_handler()
            forget_task_worker()

        return forget_both
    # Children of multiprocessing run no `atexit` handlers, but they run these finalizers.
    from multiprocessing.util import Finalize

    finalizer = Finalize(None, act, exitpriority=0)

    def forget() -> None:
        forget_handler()
        forget_task_worker()
        finalizer.cancel()

    return forget


def _at_end_of_task_worker(act: Act) -> Act:
    """The same for Celery's forked workers, which run no exit handlers or finalizers, but send a signal."""
    signals: Any = sys.modules.get("celery.signals")
    if signals is None:
        return lambda: None

    def end(**_: object) -> None:
        act()

    signals.worker_process_shutdown.connect(end, weak=False)
    return lambda: signals.worker_process_shutdown.disconnect(end)


def _in_this_process(act: Act) -> Act:
    """*act* after a fork check: a child that was forked without Python's hooks may end before any use."""

    def checked() -> None:
        forks.check()
        with _acting():
            act()

    return checked


@contextmanager
def _acting() -> Iterator[None]:
    _acts_of.append(os.getpid())
    try:
        yield
    finally:
        _acts_of.pop()


def ends_without_handlers(pid: int) -> bool:
    """Whether *pid* is known to run no exit handlers as a server's root: it is uWSGI's master."""
    uwsgi: Any = sys.modules.get("uwsgi")
    return uwsgi is not None and bool(uwsgi.masterpid() == pid)


def runs_no_handlers() -> bool:
    """Whether this process may end in order without exit handlers.

    uWSGI runs none in the middle of a request, nor with some of its options; RQ ends the process that it has
    forked for a job by `os._exit`.
    """
    if "uwsgi" in sys.modules:
        return True
    this = proc.this_process() if "rq.worker" in sys.modules else None
    return this is not None and this.is_fork


def at_sigterm(end: Act, prepare: Act) -> Act:
    """Have functions called at SIGTERM where a server may end by it without exit handlers, as uvicorn does.

    Args:
        end: Called when the process is about to end by the signal.
        prepare: Called as the signal comes, long before the end, where nothing can be called later.

    Returns:
        A function that takes the registration back.
    """
    waiting = _Waiting(end, prepare)
    _waiting.append(waiting)
    watch()

    def forget() -> None:
        if waiting in _waiting:
            _waiting.remove(waiting)
        while not _waiting and _undo:
            _undo.pop()()

    return forget


def watch() -> None:
    """Handle SIGTERM from now on, where that is necessary and possible.

    Only the main thread may set a signal handler. It imports the application, while any thread may run the
    set-up; so this is called in both places.
    """
    if threading.current_thread() is not threading.main_thread() or _undo:
        return
    present: Any = signal.getsignal(signal.SIGTERM)
    module = getattr(present, "__module__", None) or ""
    # uvicorn sets its handler before or after it loads the application, depending on how it is started.
    if callable(present) and module == _UVICORN:
        _handle("prepare", signal.SIGTERM, present)
        _watch_first_interrupt()
    elif callable(present) and module.startswith(_GUNICORN) and not _GREENLETS & sys.modules.keys():
        _handle("prepare", signal.SIGTERM, present)
    elif _UVICORN in sys.modules and (present is signal.SIG_DFL or module.startswith("otel_obs.")):
        _handle("end", signal.SIGTERM, present)


def _watch_first_interrupt() -> None:
    """Take Ctrl-C for the begin of the end too, in a worker: its supervisor gets it too, and sends SIGTERM.

    By then uvicorn may have put the system's action back, which runs no exit handlers.
    """
    process: Any = sys.modules.get("multiprocessing.process")
    present: Any = signal.getsignal(signal.SIGINT)
    is_worker = process is not None and process.parent_process() is not None
    if is_worker and getattr(present, "__module__", None) == _UVICORN:
        _handle("prepare", signal.SIGINT, present)


def watch_default() -> None:
    """Handle SIGTERM where a server on this thread leaves it to the system, which ends the process at once.

    Only for a server whose loop is in Python: in one of C no handler would run, and the signal would be lost.
    The first process of a container does not end by it.
    """
    is_main = threading.current_thread() is threading.main_thread()
    is_ended = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and os.getpid() != 1
    if is_main and is_ended and _waiting and not _undo:
        _handle("end", signal.SIGTERM, signal.SIG_DFL)


def _handle(moment: str, watched: signal.Signals, present: Any) -> None:
    def handle(number: int, frame: FrameType | None) -> None:
        if moment == "end" and os.getpid() in _acts_of:
            return  # what the first signal, or the end, has begun is completed, and the process ends after it
        try:
            for waiting in _waiting:
                # Ours: the application, which this interrupts, has no part in what fails here.
                with _acting(), tolerate(Exception):
                    getattr(waiting, moment)()
        finally:
            hand_on(number, frame, present)

    def undo() -> None:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(watched) is handle:
            signal.signal(watched, present)

    _undo.append(undo)
    if moment == "end":
        _last.append(handle)
    signal.signal(watched, handle)


def hand_on(number: int, frame: FrameType | None, present: Any) -> None:
    """Act on a signal as *present*, the former handler, would."""
    if callable(present):
        present(number, frame)
    else:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def is_free(present: Any) -> bool:
    """Whether the signal ends the process under the handler *present*: the default, or one of ours."""
    return present is signal.SIG_DFL or present in _last
