"""Whether the interpreter has a GIL, and the lock that stands in for it where it has none."""

from __future__ import annotations

import sys
from _thread import RLock
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from otel_obs.host import forks

IS_ON = "t" not in getattr(sys, "abiflags", "") and bool(getattr(sys, "_is_gil_enabled", lambda: True)())
"""False for every build that can do without: while it imports a module, it may have a GIL for a moment."""


def _compiled_lock() -> Any:
    from otel_obs import compiled

    return compiled.recording_lock()


lock: Any = (None if IS_ON else _compiled_lock()) or RLock()
"""Where there is no GIL, Python code that records holds it, and compiled code sees to it that nobody does.

There is one for the process, so that it is found fast.
"""

_nothing = nullcontext()


def alone() -> AbstractContextManager[object]:
    """Make the lock's context where there is no GIL. With a GIL, a few steps without a call need none."""
    return _nothing if IS_ON else lock


def _forget_lock() -> None:
    """Make a new lock in a child: a thread that does not exist there may hold the old one."""
    global lock
    lock = RLock()


if not IS_ON and isinstance(lock, type(RLock())):  # the compiled one sees to that itself
    forks.after_in_child(_forget_lock)
