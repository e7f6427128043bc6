"""Whether a process runs."""

from __future__ import annotations

import contextlib

import psutil


def is_running(process: psutil.Process | int) -> bool:
    """Whether it is there, and not only waited for by its parent."""
    with contextlib.suppress(psutil.Error):
        found = psutil.Process(process) if isinstance(process, int) else process
        return bool(found.is_running() and found.status() != psutil.STATUS_ZOMBIE)
    return False
