"""Functions of the application that may hang: run on other threads, for which the caller waits for a time.

A function that takes longer is left behind on its thread, and not started again before it returns.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from otel_obs.host import forks
from otel_obs.host.once import LogOnce
from otel_obs.host.threads import BackgroundThread

_once = LogOnce()

_MOMENT_S = 0.01

_BESIDE = 8
"""The threads that run the remaining errands once one has hung: similar ones may hang too."""


class Errand(NamedTuple):
    """A function to run.

    Attributes:
        key: Identifies it; only one errand of a key is under way at a time.
        run: The function. Never raises.
    """

    key: Any
    run: Callable[[], object]


class _ErrandRun:
    """An errand that is under way."""

    def __init__(self) -> None:
        self.began_s = time.monotonic()
        self.thread = threading.get_ident()
        self.is_done = threading.Event()
        # Each is acquired once and never released: of several waiting threads, one gets to report.
        self._left, self._told = threading.Lock(), threading.Lock()

    @property
    def is_left(self) -> bool:
        """Whether it was left behind."""
        return self._left.locked()

    def leave(self) -> bool:
        """Mark it as left behind; false where it is already."""
        return self._left.acquire(blocking=False)

    def is_back(self) -> bool:
        """Whether it was left behind, has returned after all, and that was not reported before."""
        return self.is_left and self.is_done.is_set() and self._told.acquire(blocking=False)


class Errands:
    """Runs errands, and knows which are under way.

    Args:
        left: Called with the key of an errand that is left behind.
        returned: Called with the key when that errand has returned after all.
    """

    def __init__(self, left: Callable[[Any], object], returned: Callable[[Any], object]) -> None:
        self._left, self._returned = left, returned
        self._start_over()
        forks.after_in_child(self._start_over)

    def _start_over(self) -> None:
        """In a child: nothing is under way here, only on the parent's threads."""
        self._runs: dict[Any, _ErrandRun] = {}

    @property
    def is_inside(self) -> bool:
        """Whether this thread runs an errand: to wait for others there may be to wait for itself."""
        here = threading.get_ident()
        return any(run.thread == here for run in list(self._runs.values()))

    def is_under_way(self, key: Any) -> bool:
        """Whether an errand of that key has not returned yet."""
        return key in self._runs

    def hanging_s(self, key: Any) -> float:
        """For how long an errand that was left behind has been running, in seconds; 0 where none was."""
        run = self._runs.get(key)
        return time.monotonic() - run.began_s if run is not None and run.is_left else 0.0

    def run_here(self, errand: Errand) -> None:
        """Run an errand on this thread, unless its key is under way; meant for one that cannot hang."""
        run = _ErrandRun()
        # One step (`setdefault`), so that of two threads only one runs it.
        if self._runs.setdefault(errand.key, run) is not run:
            return
        try:
            errand.run()
        finally:
            self._runs.pop(errand.key, None)
            run.is_done.set()
            if run.is_back():
                self._returned(errand.key)

    def run(self, errands: Iterable[Errand], patience_s: float) -> None:
        """Run errands on another thread, on several once one has hung, and wait for their end.

        Args:
            errands: The errands, in order.
            patience_s: How long one may take before it is left behind, in seconds. The call takes twice as
                long at most; errands that have not begun by then are not run.
        """
        left = deque(errands)
        deadline_s = time.monotonic() + 2 * patience_s
        threads = 1
        while left and time.monotonic() < deadline_s:
            batches = [_Batch(self, left) for _ in range(min(threads, len(left)))]
            if not [batch for batch in batches if batch.begin()]:
                while left:  # the process is ending, or may have no threads
                    self.run_here(left.popleft())
                return
            for batch in batches:
                if batch.has_begun:
                    self._wait_for(batch, patience_s, deadline_s)
            threads = _BESIDE

    def _wait_for(self, batch: _Batch, patience_s: float, deadline_s: float) -> None:
        """Wait for one thread's end, until an errand hangs there or the time is over."""
        while not batch.is_done.wait(min(batch.patience_left_s(patience_s), _left_s(deadline_s))):
            if batch.patience_left_s(patience_s) <= _MOMENT_S:
                self._leave(batch)
                return
            if time.monotonic() >= deadline_s:  # nothing hangs: there is only much to do
                batch.leave()
                return

    def _leave(self, batch: _Batch) -> None:
        batch.leave()
        current = batch.current
        run = self._runs.get(current.key) if current is not None else None
        if current is not None and run is not None:
            self._leave_run(current.key, run)

    def _leave_run(self, key: Any, run: _ErrandRun) -> None:
        if run.leave():
            self._left(key)
            if run.is_back():  # just now
                self._returned(key)

    def wait(self, keys: Iterable[Any], patience_s: float) -> None:
        """Wait for errands that were begun before and not left behind; leave those behind that hang."""
        deadline_s = time.monotonic() + patience_s
        for key in keys:
            run = self._runs.get(key)
            if run is None or run.is_left or run.is_done.wait(max(0.0, deadline_s - time.monotonic())):
                continue
            if time.monotonic() - run.began_s >= patience_s:
                self._leave_run(key, run)


class _Batch:
    """One thread that runs waiting errands, one after the other."""

    def __init__(self, errands: Errands, left: deque[Errand]) -> None:
        self._errands, self._waiting = errands, left
        self.current: Errand | None = None
        self._began_s = time.monotonic()
        self.is_done = threading.Event()
        # An errand sees the context variables of the caller, as it would on the caller's thread.
        self._context = contextvars.copy_context()
        self._thread = BackgroundThread(self._work, "otel_obs_callbacks", gets_signals=True)

    def begin(self) -> bool:
        """Start the thread; false where that is impossible."""
        self._thread.start()
        return self._thread.has_begun

    @property
    def has_begun(self) -> bool:
        """Whether the thread was started."""
        return self._thread.has_begun

    def leave(self) -> None:
        """Begin no further errand."""
        self._thread.leave()

    def patience_left_s(self, patience_s: float) -> float:
        """How long the errand under way may still take, in seconds."""
        return max(self._began_s + patience_s - time.monotonic(), _MOMENT_S)

    def _work(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                errand = self._waiting.popleft()
            except IndexError:
                self.is_done.set()
                return
            self._began_s, self.current = time.monotonic(), errand
            try:
                self._context.run(self._errands.run_here, errand)
            except BaseException as error:  # `sys.exit()` or a cancellation: on this thread it ends nothing
                _once.error(repr(errand.key), "%r raised %r", errand.key, error, error=error)
            self.current = None


def _left_s(deadline_s: float) -> float:
    return max(deadline_s - time.monotonic(), _MOMENT_S)
