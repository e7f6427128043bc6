"""Background threads of otel_obs: one for each purpose, and none that is alive across a fork."""

from __future__ import annotations

import _thread
import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from otel_obs.host import forks
from otel_obs.host.once import LogOnce
from otel_obs.host.signals import raise_interruption, tolerate
from otel_obs.host.weak import WeakObjects

Work = Callable[[threading.Event], object]

PAUSE_S = 0.2
"""How long a fork waits for a thread to end."""

IMPORT_S = 5.0
"""How long a fork waits for imports that otel_obs has begun on other threads."""

_OWN_SIGNALS = frozenset(
    getattr(signal, name)
    for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGPROF")
    if hasattr(signal, name)
)
"""What a thread gets for what it has done itself, and from profilers."""

_IMPORTLIB = "<frozen importlib._bootstrap>"
_OURS = os.path.dirname(os.path.dirname(__file__)) + os.sep

_once = LogOnce()


class BackgroundThread:
    """A thread that ends before its process forks and begins again in the parent.

    In a child it does not run until it is started there. An exception of the work is logged once for a name,
    and ends only the thread, which the next `start` begins again.

    Args:
        work: Gets an event, and has to end soon after that is set.
        name: The thread's name.
        on_pause: Called after the event was set: wakes work that waits for something else.
        gets_signals: Whether signals may reach it. Work of the application needs that: a process that it
            starts would inherit that they do not.
    """

    def __init__(
        self,
        work: Work,
        name: str,
        on_pause: Callable[[], object] = lambda: None,
        *,
        gets_signals: bool = False,
    ) -> None:
        self._work, self.name, self._on_pause, self._gets_signals = work, name, on_pause, gets_signals
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_paused = False
        _threads.add(self)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs in this process."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread, unless it runs; a process that may have no more threads goes on without."""
        if self.is_alive or forks.waits_for_fork():
            return
        # A new event: a former thread that has not ended yet still has to.
        self._stop = threading.Event()
        before = _here.kept_off if self._gets_signals else None
        thread = threading.Thread(target=self._run, args=(self._stop, before), name=self.name, daemon=True)
        # Known before it runs: a signal handler may raise in the middle of its start.
        self._thread = thread
        try:
            thread.start()
        except RuntimeError as error:  # the interpreter is shutting down, or the system has no more threads
            raise_interruption(error)
            self._thread = None

    @property
    def has_begun(self) -> bool:
        """Whether the thread runs in this process, or has."""
        return self._thread is not None

    def leave(self) -> None:
        """Stop the thread, and have no fork wait for its end any more."""
        _threads.discard(self)
        self.stop()

    def stop(self) -> None:
        """Tell the thread to end, without waiting for it."""
        self._is_paused = False
        self._stop.set()
        self._on_pause()

    def end(self, timeout_s: float) -> bool:
        """Stop the thread, and wait for it; whether it has ended. Does not wait on the thread itself."""
        self.stop()
        thread, self._thread = self._thread, None
        if thread is None or thread is threading.current_thread():
            return True
        with tolerate(RuntimeError):  # its start was interrupted before it ran
            thread.join(timeout_s)
        return not thread.is_alive()

    def _run(self, stop: threading.Event, kept_off: set[int | signal.Signals] | None) -> None:
        if kept_off is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, kept_off)
        elif not self._gets_signals:
            get_no_signals()
        try:
            self._work(stop)
        except Exception as error:
            raise_interruption(error)
            _once.error(self.name, "the thread %r of otel_obs has ended", self.name, error=error)

    def _pause(self) -> None:
        if self.is_alive:
            self.end(PAUSE_S)
            self._is_paused = True

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self.start()

    def _forget(self) -> None:
        """In a child: only the parent has the thread."""
        self._thread, self._is_paused = None, False


class _Here(threading.local):
    """What the system kept off this thread before it was to get no signals; None where it gets them."""

    kept_off: set[int | signal.Signals] | None = None


_here = _Here()


def get_no_signals() -> None:
    """Have this thread, which is not the main one, get no signals.

    A server in C handles a signal on the thread that gets it: uWSGI exits there, and its exit waits for the
    main thread, which goes on. The kernel prefers the main thread, unless that has one to handle already.
    """
    # Threads of gevent or eventlet are no threads of the system's.
    if hasattr(signal, "pthread_sigmask") and inspect.isbuiltin(_thread.start_new_thread):
        _here.kept_off = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _OWN_SIGNALS)


_threads: WeakObjects[BackgroundThread] = WeakObjects()


def _each(act: Callable[[BackgroundThread], None]) -> Callable[[], None]:
    def act_on_all() -> None:
        for thread in _threads.living():
            act(thread)

    return act_on_all


def _wait_for_imports() -> None:
    """Wait for imports that otel_obs has begun on other threads.

    A child would find the modules half imported, and could not import them either: the lock of each is held
    by a thread that it does not have.
    """
    if not hasattr(sys, "_current_frames") or _imported_from(sys._getframe()) is not None:
        return  # the other thread may wait for the module that this one imports
    deadline_s = time.monotonic() + IMPORT_S
    while _imports_elsewhere() and time.monotonic() < deadline_s:
        time.sleep(0.001)


def _imports_elsewhere() -> bool:
    here = threading.get_ident()
    frames = [frame for thread, frame in sys._current_frames().items() if thread != here]
    return any(_is_ours(_imported_from(frame)) for frame in frames)


def _imported_from(frame: FrameType | None) -> FrameType | None:
    """The frame that has begun the innermost import of a stack; None where nothing is imported."""
    while frame is not None and frame.f_code.co_filename != _IMPORTLIB:
        frame = frame.f_back
    while frame is not None and frame.f_code.co_filename == _IMPORTLIB:
        frame = frame.f_back
    return frame


def _is_ours(frame: FrameType | None) -> bool:
    while frame is not None and not frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    return frame is not None


# A lock that a thread holds during a fork stays locked in the child for ever, as the thread is not there.
if hasattr(os, "fork"):
    forks.before(_each(BackgroundThread._pause))
    forks.before(_wait_for_imports)
    forks.after_in_parent(_each(BackgroundThread._resume))
    forks.after_in_child(_each(BackgroundThread._forget))
