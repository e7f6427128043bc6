"""How a process ends, and what can be done just before, without being in the way of anybody's signals."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_UVICORN = "uvicorn.server"
"""It stops in order, then raises the signal again: that ends the process without exit handlers."""


def at_end(act: Callable[[], None]) -> Callable[[], None]:
    """Have *act* called as the last thing when this process ends in order; perhaps twice.

    Returns:
        Undoes that.
    """
    atexit.register(act)
    process: Any = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        # Its children end without exit handlers, but with these.
        from multiprocessing.util import Finalize

        finalizer = Finalize(None, act, exitpriority=0)

        def forget() -> None:
            atexit.unregister(act)
            finalizer.cancel()

        return forget
    return lambda: atexit.unregister(act)


def at_sigterm(end: Callable[[], None], prepare: Callable[[], None]) -> Callable[[], None]:
    """The same for servers that SIGTERM ends without exit handlers; others' signals are left alone.

    Args:
        end: Called when the process is about to end by the signal.
        prepare: Called as the signal comes, long before, where nothing can be called later.

    Returns:
        Undoes that.
    """
    if threading.current_thread() is not threading.main_thread():
        return _nothing
    present: Any = signal.getsignal(signal.SIGTERM)
    module = getattr(present, "__module__", None) or ""
    if callable(present) and module == _UVICORN:
        return _handle(prepare, present)
    # It loads the application before it takes the signal, or after, as it is started.
    if _UVICORN in sys.modules and (present is signal.SIG_DFL or module.startswith("otel_obs.")):
        return _handle(end, present)
    return _nothing


def _handle(act: Callable[[], None], present: Any) -> Callable[[], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        try:
            act()
        finally:
            if callable(present):
                present(number, frame)
            else:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, handle)

    def undo() -> None:
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is handle
        ):
            signal.signal(signal.SIGTERM, present)

    return undo


def _nothing() -> None:
    """Nothing is to be undone."""
