"""Keeps the values of callbacks fresh for the other workers, who cannot run them."""

from __future__ import annotations

import os
import threading
import weakref

from otel_obs.host import forks
from otel_obs.sdk.provider import MeterProvider

PERIOD_S = 4.0
"""Values are at most 5 s old at a scrape: the period, and time for the callbacks themselves."""


class Refresher:
    """One thread a worker, begun with the worker's first record, and never alive across a fork."""

    def __init__(self, provider: MeterProvider, period_s: float = PERIOD_S) -> None:
        self._provider = weakref.ref(provider)
        self._period_s = period_s
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        provider.worker.on_open.append(self.start)
        _refreshers.add(self)

    def start(self) -> None:
        """Begin, if the thread is not there."""
        if forks.waits_for_fork():
            return
        if self._thread is None or not self._thread.is_alive():
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stop,), name="otel_obs", daemon=True
            )
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is shutting down, or may have no more threads
                self._thread = None

    def stop(self) -> None:
        """End the thread; one that is inside a slow callback ends when that returns."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(0.2)

    def resume(self) -> None:
        """Go on after a fork, in the parent."""
        if self._thread is not None:
            self._thread = None
            self.start()

    def forget(self) -> None:
        """Have no thread, as in a child."""
        self._thread = None

    def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            provider = self._provider()
            if provider is None:
                return
            provider.refresh_observables(older_than_s=self._period_s / 2)
            provider.worker.settle()
            del provider
            stop.wait(self._period_s)


_refreshers: weakref.WeakSet[Refresher] = weakref.WeakSet()


def _stop_all() -> None:
    for refresher in list(_refreshers):
        refresher.stop()


def _resume_all() -> None:
    for refresher in list(_refreshers):
        refresher.resume()


def _forget_all() -> None:
    for refresher in list(_refreshers):
        refresher.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_stop_all, after_in_parent=_resume_all)
    forks.after_in_child(_forget_all)
