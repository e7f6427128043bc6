"""Whether the interpreter has a GIL, and the lock that stands in for it where it has none."""

from __future__ import annotations

import sys
from _thread import RLock

from otel_obs.host import forks

IS_ON = bool(getattr(sys, "_is_gil_enabled", lambda: True)())

lock = RLock()
"""Every recording holds it where there is no GIL. There is one for the process, so that it is found fast."""


def _forget_lock() -> None:
    """Make a new lock in a child: a thread that does not exist there may hold the old one."""
    global lock
    lock = RLock()


if not IS_ON:
    forks.after_in_child(_forget_lock)
