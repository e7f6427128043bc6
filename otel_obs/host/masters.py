"""Whether this process is the master of a server, which loads the application only to fork its workers."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


def is_master() -> bool:
    """Whether this process is known to start workers and to serve nothing itself."""
    return is_master_of_uwsgi() or _is_master_of_gunicorn() or _is_master_of_celery()


def is_master_of_uwsgi() -> bool:
    """Whether uWSGI runs this process as its master."""
    uwsgi: Any = sys.modules.get("uwsgi")
    return uwsgi is not None and bool(uwsgi.masterpid() == os.getpid())


def _is_master_of_gunicorn() -> bool:
    """Whether the main thread is in gunicorn's arbiter; a fork of it is there too, under another number."""
    if "gunicorn.arbiter" not in sys.modules or not hasattr(sys, "_current_frames"):
        return False
    for frame in _frames_of_main_thread():
        if frame.f_globals.get("__name__") == "gunicorn.arbiter":
            arbiter = frame.f_locals.get("self")
            # It has no number before it starts, and forks nothing until then.
            return getattr(arbiter, "pid", None) in (None, os.getpid())
    return False


def _frames_of_main_thread() -> Iterator[FrameType]:
    """The frames of the main thread, the innermost first."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_master_of_celery() -> bool:
    """Whether celery runs its tasks in a pool of processes, and this is none of them."""
    if "celery.concurrency.prefork" not in sys.modules:
        return False
    billiard: Any = sys.modules.get("billiard.process")
    return billiard is not None and billiard.current_process()._parent_pid is None
