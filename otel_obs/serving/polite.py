"""Do a scrape's work on a thread beside others, which go on meanwhile."""

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
SWITCH_S = 0.0005


def run_politely(steps: ScrapeSteps, is_wanted: Callable[[], bool] = lambda: True) -> PartedAnswer | None:
    """Run *steps*, and nap between and within them, so that other threads get the GIL at once.

    Returns:
        None where the answer was no longer wanted.
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
    # What gevent or eventlet has put in its place runs greenlets, which must not be met under a lock.
    if isinstance(time.sleep, BuiltinFunctionType):
        time.sleep(NAP_S)


class _Switching:
    """Within a long step the loop gets the GIL after 5 ms by default, and wants it several times a turn."""

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
        """Forget the users, who are threads of the parent process."""
        if self._users:
            sys.setswitchinterval(self._before_s)
        self._lock, self._users = RLock(), 0


_switching = _Switching()
forks.after_in_child(_switching.start_over)
