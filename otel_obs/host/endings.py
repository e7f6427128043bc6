"""How a process ends, and what can be done just before, without being in the way of anybody's signals."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

from otel_obs.host import forks

Act = Callable[[], None]

_UVICORN = "uvicorn.server"
"""It stops in order, then raises the signal again: that ends the process without exit handlers."""

_HANDLERS_ARE_SKIPPED = frozenset(
    ("async", "asyncio", "gevent", "greenlet", "skip-atexit", "skip-atexit-teardown", "tornado", "ugreen")
)
"""Options with which uWSGI leaves them out, as it also does in the middle of a request."""


class _Waiting(NamedTuple):
    """What is to be done at SIGTERM: as the process is about to end by it, or long before."""

    end: Act
    prepare: Act


_waiting: list[_Waiting] = []
_undo: list[Act] = []
_last: list[Any] = []
"""Handlers of ours after which the process ends."""


def at_end(act: Act) -> Act:
    """Have *act* called as the last thing when this process ends in order; perhaps twice.

    Returns:
        Undoes that.
    """
    act = _in_this_process(act)
    atexit.register(act)
    forget_task_worker = _at_end_of_task_worker(act)
    process: Any = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None:

        def forget_both() -> None:
            atexit.unregister(act)
            forget_task_worker()

        return forget_both
    # Its children end without exit handlers, but with these.
    from multiprocessing.util import Finalize

    finalizer = Finalize(None, act, exitpriority=0)

    def forget() -> None:
        atexit.unregister(act)
        forget_task_worker()
        finalizer.cancel()

    return forget


def _at_end_of_task_worker(act: Act) -> Act:
    """The same for Celery's forked workers, which end without exit handlers and finalizers, with a signal."""
    signals: Any = sys.modules.get("celery.signals")
    if signals is None:
        return lambda: None

    def end(**_: object) -> None:
        act()

    signals.worker_process_shutdown.connect(end, weak=False)
    return lambda: signals.worker_process_shutdown.disconnect(end)


def _in_this_process(act: Act) -> Act:
    """*act*, after what a fork without Python's hooks has left undone: its child may end before any use."""

    def checked() -> None:
        forks.check()
        act()

    return checked


def ends_without_handlers(pid: int) -> bool:
    """Whether that process is a server's first one which is known to run no exit handlers: uWSGI's master."""
    uwsgi: Any = sys.modules.get("uwsgi")
    return uwsgi is not None and bool(uwsgi.masterpid() == pid)


def runs_no_handlers() -> bool:
    """Whether this process is known to run no exit handlers: uWSGI's workers with loops of other kinds."""
    uwsgi: Any = sys.modules.get("uwsgi")
    return uwsgi is not None and not _HANDLERS_ARE_SKIPPED.isdisjoint(uwsgi.opt)


def at_sigterm(end: Act, prepare: Act) -> Act:
    """The same for servers that SIGTERM ends without exit handlers; others' signals are left alone.

    Args:
        end: Called when the process is about to end by the signal.
        prepare: Called as the signal comes, long before, where nothing can be called later.

    Returns:
        Undoes that.
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
    """Look after SIGTERM from now on, if that is necessary and possible.

    Only the main thread may, which imports an application; what it sets up may be set up by any thread.
    """
    if threading.current_thread() is not threading.main_thread() or _undo:
        return
    present: Any = signal.getsignal(signal.SIGTERM)
    module = getattr(present, "__module__", None) or ""
    # It loads the application before it takes the signal, or after, as it is started.
    if callable(present) and module == _UVICORN:
        _handle("prepare", present)
    elif _UVICORN in sys.modules and (present is signal.SIG_DFL or module.startswith("otel_obs.")):
        _handle("end", present)


def _handle(moment: str, present: Any) -> None:
    def handle(number: int, frame: FrameType | None) -> None:
        try:
            for waiting in _waiting:
                getattr(waiting, moment)()
        finally:
            hand_on(number, frame, present)

    def undo() -> None:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGTERM) is handle:
            signal.signal(signal.SIGTERM, present)

    _undo.append(undo)
    if moment == "end":
        _last.append(handle)
    signal.signal(signal.SIGTERM, handle)


def hand_on(number: int, frame: FrameType | None, present: Any) -> None:
    """Do at a signal what *present*, the handler that was there before, does."""
    if callable(present):
        present(number, frame)
    else:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def is_free(present: Any) -> bool:
    """Whether a signal ends the process, but for what is done here before."""
    return present is signal.SIG_DFL or present in _last
