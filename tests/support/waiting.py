"""Wait for something to become true, without guessing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import psutil

T = TypeVar("T")

POLL_S = 0.02


def until(check: Callable[[], T], what: str, timeout_s: float = 150.0) -> T:
    """Call *check* again and again until it returns something true, and return that.

    An `OSError` or an `AssertionError` of *check* counts as "not yet", as does a process that ends meanwhile.

    Args:
        check: Called every 20 ms.
        what: What is waited for, as the error says it.
        timeout_s: When to give up.

    Raises:
        TimeoutError: It did not become true; the last error or value is in the message.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        last: object
        try:
            result = check()
            if result:
                return result
            last = result
        except (OSError, AssertionError, psutil.Error) as error:
            last = error
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s; last seen: {last!r}")
        time.sleep(POLL_S)
