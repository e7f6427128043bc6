"""The readers that push: each worker has one for each exporter, and pushes a last time at its end."""

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
from otel_obs.host.threads import BackgroundThread
from otel_obs.host.weak import WeakObjects

EXIT_MS = 5_000
"""How long the end of a process waits for its last push; containers are killed after 10 s."""


class PushReader(MetricReader):
    """Collects this worker's numbers at intervals and when it ends, and pushes them.

    A process pushes from its first record on, and without one unless it has started others: the first process
    of a server with workers measures nothing itself.

    Args:
        make: Makes the exporter, in the worker that uses it.
        temporality: What the exporter prefers, by class of instrument.
        aggregation: What the exporter prefers, by class of instrument.
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
        """Begin to push, if that has not begun."""
        if not self._is_last:
            self._thread.start()

    def _run(self, stop: threading.Event) -> None:
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
            # The exporters log what an endpoint answers; this is something else, and goes on like it began.
            self._once.warning("failed", "metrics could not be pushed: %r", error)

    def _receive_metrics(self, metrics_data: Any, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            with self._pushing:
                if self._exporter is None:
                    finish_imports_of(getattr(self._make, "__module__", ""))
                    self._exporter = self._make()
                self._exporter.export(metrics_data, timeout_millis=timeout_millis)
        finally:
            detach(token)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Push what there is now."""
        self.collect(timeout_millis=timeout_millis)
        return True

    def finish(self) -> None:
        """Begin the last push, and do not wait for it."""
        self._is_last = True
        self._thread.stop()

    def shutdown(self, timeout_millis: float = EXIT_MS, **kwargs: Any) -> None:
        """Push once more, waiting no longer than a container's end allows, and stop."""
        if self._is_closed:
            return
        self._is_closed = True
        pushes = self._thread.is_alive
        self.finish()
        if pushes:
            self._thread.end(min(timeout_millis, EXIT_MS) / 1e3)
        else:
            self._push()
        if self._exporter is not None:
            self._exporter.shutdown()

    def _note_fork(self) -> None:
        """In the parent: the first process of a server measures nothing itself."""
        self._has_forked = True
        if self._worker is not None and self._worker.opened is None:
            self._thread.stop()

    def _start_over(self) -> None:
        """Begin anew, in a child; the parent's exporter is kept: closing it could disturb the parent."""
        if self._exporter is not None:
            self._inherited.append(self._exporter)
        self._reset()
        self._has_forked = True


def _has_spawned() -> bool:
    """Whether multiprocessing has executed workers for this process."""
    return any(f"multiprocessing.popen_{how}" in sys.modules for how in ("spawn_posix", "forkserver"))


def begin_last_pushes() -> None:
    """Have every reader of this process begin its last push."""
    for reader in _readers.living():
        reader.finish()


_readers: WeakObjects[PushReader] = WeakObjects()
