"""A fork of the C library that runs none of Python's hooks, as a server written in C makes it."""

from __future__ import annotations

import ctypes
from typing import Any

# `PyDLL` keeps the interpreter locked during the call: in the child there is nobody who would unlock it.
_fork = ctypes.PyDLL(None, use_errno=True).fork


def without_threads(pipeline: Any) -> None:
    """Have a pipeline begin no thread of its own; call it before anything is recorded.

    A thread that waits for the interpreter at the moment of the fork stands in that lock's condition variable
    in the child too, where it never leaves: the child hangs at a later switch. A real server makes the lock
    anew after its fork (`PyOS_AfterFork_Child`), which the program of a test cannot.
    """
    pipeline.provider.worker.on_open.clear()


def c_fork() -> int:
    """Fork; 0 in the child.

    Raises:
        OSError: There is no room for another process.
    """
    pid = int(_fork())
    if pid < 0:
        raise OSError(ctypes.get_errno(), "fork")
    return pid
