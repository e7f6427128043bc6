"""What the programs of the fault suite record, and how they read it. Importing it sets metrics up."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from opentelemetry import metrics

import otel_obs
from tests.support.samples import parse_samples

pipeline: Any = otel_obs.configure(runtime_metrics=False)

counter = metrics.get_meter("faults").create_counter("hits")


def hit(times: int = 1, **attributes: str) -> None:
    """Count, one by one."""
    for _ in range(times):
        counter.add(1, attributes)


def total(**attributes: str) -> float:
    """What all workers have counted."""
    return parse_samples(otel_obs.get_metrics()[0].decode()).total("hits_total", **attributes)


def family(name: str) -> float:
    """The sum of all samples of a name."""
    return parse_samples(otel_obs.get_metrics()[0].decode()).total(name)


def say(value: Any) -> None:
    """Print a result as one line of JSON."""
    os.write(1, json.dumps(value).encode() + b"\n")


def forked(work: Callable[[], object]) -> int:
    """Run *work* in a forked child that ends without any ceremony, and return the child's exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
