"""Runs a scrape on a thread in small steps, so that the application's threads are not held up."""

from __future__ import annotations

import sys
import time
from _thread import RLock
from collections.abc import Callable
from types import BuiltinFunctionType

from otel_obs.host import forks
from otel_obs.host.pace import resting
from otel_obs.serving.scrape import PartedAnswer, ScrapeSteps

NAP_S = 0.0002
"""How long the scrape sleeps between two steps: a sleep releases the GIL."""
SWITCH_S = 0.0005
"""The interpreter's switch interval during a scrape."""


def run_politely(steps: ScrapeSteps, is_wanted: Callable[[], bool] = lambda: True) -> PartedAnswer | None:
    """Run *steps*, and sleep between and within them, so that waiting threads get the GIL at once.

    Returns:
        None where *is_wanted* became false, as when the client has gone.
    """
    with _switching, resting(_nap_within):
        while is_wanted():
            try:
                rest_s = next(steps)
            except StopIteration as end:
                answer: PartedAnswer = end.value
                return answer
            time.sleep(max(NAP_S, rest_s))
    steps.close()
    return None


def _nap_within() -> None:
    # `time.sleep` of gevent or eventlet switches greenlets. This may be called under a lock, for which the
    # next greenlet would then wait for ever, since it is on the same thread.
    if isinstance(time.sleep, BuiltinFunctionType):
        time.sleep(NAP_S)


class _Switching:
    """Lowers the switch interval while scrapes run.

    By default a thread keeps the GIL for 5 ms while others wait, and an event loop needs it several times
    per turn. The interval is global, so the last scrape to end restores it.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._users = 0
        self._before_s = SWITCH_S

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._before_s = sys.getswitchinterval()
                sys.setswitchinterval(min(SWITCH_S, self._before_s))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                sys.setswitchinterval(self._before_s)

    def start_over(self) -> None:
        """Reset in a forked child: the scrapes, and the holder of the lock, are threads of the parent."""
        if self._users:
            sys.setswitchinterval(self._before_s)
        self._lock, self._users = RLock(), 0


_switching = _Switching()
forks.after_in_child(_switching.start_over)
