"""The boundary around functions that an application calls to record: they never raise into it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

from otel_obs.catalog.kit.metric import Metric
from otel_obs.host import forks
from otel_obs.host.signals import raise_interruption

P = ParamSpec("P")


def safely(metric: Metric[Any]) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Decorate a recording function: an exception is logged and counted as a dropped value of *metric*."""

    def decorate(function: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                forks.check()  # before recording: a child of a C server has to leave its parent's cells first
                function(*args, **kwargs)
            except Exception as error:
                raise_interruption(error)
                metric.drop("error", f"{function.__name__}() got {error!r}")

        return guarded

    return decorate
