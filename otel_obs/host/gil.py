"""Whether the interpreter has a GIL, and the lock that stands in for it where it has none."""

from __future__ import annotations

import sys
from _thread import RLock

from otel_obs.host import forks

IS_ON = bool(getattr(sys, "_is_gil_enabled", lambda: True)())

lock = RLock()
"""What records holds it where there is no GIL: one for the process, which every call finds in two steps."""


def _forget_lock() -> None:
    """Have a new one in a child: the old one's holder may be a thread that is not here."""
    global lock
    lock = RLock()


if not IS_ON:
    forks.after_in_child(_forget_lock)
