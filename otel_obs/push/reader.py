"""The push reader: each worker has one per exporter, and pushes a last time when it ends."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.sdk.metrics.export import MetricReader

from otel_obs.host import forks
from otel_obs.host.imports import finish_imports_of
from otel_obs.host.once import LogOnce
from otel_obs.host.signals import raise_interruption
from otel_obs.host.threads import BackgroundThread
from otel_obs.host.weak import WeakObjects

EXIT_MS = 5_000
"""How long the end of a process waits for its last push; containers are killed after 10 s."""


class PushReader(MetricReader):
    """Collects this worker's numbers at intervals and when it ends, and pushes them.

    A process that has recorded nothing pushes too, unless it has forked or spawned others: then it is taken
    for the master of a server, which measures nothing itself.

    Args:
        make: Makes the exporter; called in the process that uses it.
        temporality: The temporality that the exporter prefers, by class of instrument.
        aggregation: The aggregation that the exporter prefers, by class of instrument.
        interval_s: Seconds between two pushes.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        temporality: dict[type, Any],
        aggregation: dict[type, Any],
        interval_s: float,
    ) -> None:
        super().__init__(preferred_temporality=temporality, preferred_aggregation=aggregation)
        self._make = make
        self._interval_s = interval_s
        self._inherited: list[Any] = []
        self._has_forked = False
        self._worker: Any = None
        self._once = LogOnce()
        self._thread = BackgroundThread(self._run, "otel_obs_push")
        self._reset()
        forks.after_in_parent(self._note_fork)
        forks.after_in_child(self._start_over)
        _readers.add(self)

    def _reset(self) -> None:
        self._exporter: Any = None
        self._pushing = threading.Lock()
        self._is_last = self._is_closed = False
        self._due_s = time.monotonic() + self._interval_s

    def _set_meter_provider(self, meter_provider: Any) -> None:
        super()._set_meter_provider(meter_provider)
        self._worker = meter_provider.worker
        self._worker.on_open.append(self.start)
        self.start()

    def start(self) -> None:
        """Start the thread that pushes, if it does not run."""
        if not self._is_last:
            self._thread.start()

    def _run(self, stop: threading.Event) -> None:
        # A time, not an interval: each fork restarts this thread, which must not postpone the push.
        while not stop.wait(max(self._due_s - time.monotonic(), 0)):
            self._due_s = time.monotonic() + self._interval_s
            self._push()
        if self._is_last:
            self._push()

    def _push(self) -> None:
        if self._worker.opened is None and (self._has_forked or _has_spawned()):
            return
        try:
            self.collect()
            self._once.forget("failed")
        except Exception as error:
            raise_interruption(error)
            # Exporters log failures of the endpoint themselves. After any other error, the next push follows.
            self._once.warning("failed", "metrics could not be pushed: %r", error)

    def _receive_metrics(self, metrics_data: Any, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        # Requests of the exporter itself are not traced, nor are their log records sent.
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            with self._pushing:  # `force_flush` may push at the same time, on another thread
                if self._exporter is None:
                    finish_imports_of(getattr(self._make, "__module__", ""))
                    self._exporter = self._make()
                self._exporter.export(metrics_data, timeout_millis=timeout_millis)
        finally:
            detach(token)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Collect and push now."""
        self.collect(timeout_millis=timeout_millis)
        return True

    def finish(self) -> None:
        """Start the last push, without waiting for it."""
        self._is_last = True  # before the event is set: then the thread reads it
        self._thread.stop()

    def shutdown(self, timeout_millis: float = EXIT_MS, **kwargs: Any) -> None:
        """Push a last time, waiting for `EXIT_MS` at most, and stop; a second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        pushes = self._thread.is_alive
        self.finish()
        if pushes:
            self._thread.end(min(timeout_millis, EXIT_MS) / 1e3)
        else:
            self._push()  # no thread runs that could do it
        if self._exporter is not None:
            self._exporter.shutdown()

    def _note_fork(self) -> None:
        """After a fork, in the parent: stop if it has recorded nothing, as the master of a server."""
        self._has_forked = True
        if self._worker is not None and self._worker.opened is None:
            self._thread.stop()

    def _start_over(self) -> None:
        """Reset, in a forked child. The parent's exporter is kept referenced, never closed or finalized here.

        Closing it could end the connection that the parent shares.
        """
        if self._exporter is not None:
            self._inherited.append(self._exporter)
        self._reset()
        self._has_forked = True


def _has_spawned() -> bool:
    """Whether this process has started others by multiprocessing, without a fork."""
    return any(f"multiprocessing.popen_{how}" in sys.modules for how in ("spawn_posix", "forkserver"))


def begin_last_pushes() -> None:
    """Start the last push of every reader, so that they run concurrently."""
    for reader in _readers.living():
        reader.finish()


_readers: WeakObjects[PushReader] = WeakObjects()
