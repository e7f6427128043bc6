"""Runs each worker's callbacks periodically, since other workers, which serve scrapes, cannot run them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

from otel_obs.host.threads import BackgroundThread
from otel_obs.sdk.provider import MeterProvider

PERIOD_S = 4.0
"""Values are at most 5 s old at a scrape: the period, and time for the callbacks themselves."""

_MOMENT_S = 1.0

_END_S = 1.0
"""How long the end waits for a callback that is being run."""


class Refresher:
    """One thread for each worker, started with the worker's first record, and never running across a fork."""

    def __init__(self, provider: MeterProvider, period_s: float = PERIOD_S) -> None:
        self._provider = weakref.ref(provider)
        self._period_s = period_s
        self._thread = BackgroundThread(self._run, "otel_obs")
        self._is_over = False
        self.after_start: Callable[[], bool] | None = None
        """Called a moment after the worker's first record, when others have had the time to join, and at each
        period again until it returns true."""
        provider.worker.on_open.append(self.start)

    def start(self) -> None:
        """Begin, if the thread is not there."""
        if not self._is_over:
            self._thread.start()

    def stop(self) -> None:
        """End the thread for good; one that is inside a slow callback ends when that returns."""
        self._is_over = True
        self._thread.end(_END_S)

    def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            provider = self._provider()
            if provider is None:
                return
            # Before the callbacks, which may take long.
            provider.worker.settle()
            provider.refresh_observables(older_than_s=self._period_s / 2)
            del provider
            rest_s, after_start = self._period_s, self.after_start
            if after_start is not None and not stop.wait(_MOMENT_S):
                rest_s -= _MOMENT_S
                if self._is_done(after_start):
                    self.after_start = None
            stop.wait(rest_s)

    @staticmethod
    def _is_done(after_start: Callable[[], bool]) -> bool:
        """Whether *after_start* need not be called again."""
        try:
            return after_start()
        except Exception:  # an application's log handler has failed, so this cannot be logged; values go on
            return True
