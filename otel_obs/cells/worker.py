"""This process as one worker of the service: its store, its lock, and the handles that write to it."""

from __future__ import annotations

import os
import secrets
import sys
import time
import weakref
from _thread import RLock
from collections import deque
from collections.abc import Callable
from typing import Protocol

from otel_obs.cells.store import Store, heap_store

GIL_IS_ON = bool(getattr(sys, "_is_gil_enabled", lambda: True)())


class Handle(Protocol):
    """What records into cells: an instrument, or an attribute set bound to one."""

    def detach(self) -> None:
        """Forget cells and offsets: they belong to a parent process, or to a series that was removed."""


class Worker:
    """The one place through which a process's store is opened and its index changed.

    Recording takes no lock. What changes the index runs in `exclusively`, under a native re-entrant
    lock; work that a signal handler or a finaliser brings in the middle of such a change is put off
    until the change is complete, since no lock keeps out code that runs in the same thread.
    """

    def __init__(self, open_store: Callable[[bytes], Store] | None = None) -> None:
        self._open_store = open_store or (lambda worker: heap_store(time.time(), worker))
        self._handles: weakref.WeakSet[Handle] = weakref.WeakSet()
        self.on_fork: list[Callable[[], None]] = []
        self.on_open: list[Callable[[], None]] = []
        self._reset()
        _workers.add(self)

    def _reset(self) -> None:
        self.lock = RLock()
        self._changing = False
        self._put_off: deque[Callable[[], None]] = deque()
        self._store: Store | None = None
        self.id = secrets.token_bytes(16)
        self.spilled = 0
        """Series that found no room in the store, and live on this process's heap."""

    @property
    def opened(self) -> Store | None:
        """The store, if anything was recorded in this process."""
        return self._store

    def store(self) -> Store:
        """The store of this process, opened at the first use after a start or a fork."""
        if self._store is None:
            self._store = self._open_store(self.id)
            for hook in self.on_open:
                hook()
        return self._store

    def attach(self, handle: Handle) -> None:
        """Have *handle* detached in a child process."""
        self._handles.add(handle)

    def exclusively(self, change: Callable[[], None]) -> None:
        """Run *change* alone, or after the change that it interrupts."""
        with self.lock:
            if self._changing:
                self._put_off.append(change)
                return
            self._changing = True
            try:
                change()
            finally:
                self._changing = False
        while self._put_off:
            try:
                late = self._put_off.popleft()
            except IndexError:
                return
            self.exclusively(late)

    def after_fork_in_child(self) -> None:
        """Start over with no values. The parent's lock may be held by a thread that is not here."""
        if self._store is not None:
            self._store.discard()
        self._reset()
        for handle in list(self._handles):
            handle.detach()
        for hook in self.on_fork:
            hook()


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for worker in list(_workers):
        worker.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
