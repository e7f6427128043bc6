"""Every figure that is published of otel_obs and its peers: one run, the same work for each.

A group is a module of this package with `measure(quick) -> list[Figure]`. Each runs in a process of its own.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

BOUNDS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0)
LABELS = {"method": "GET", "endpoint": "/items/{id}", "status_code": "200"}

OURS = "otel-obs"
CLIENT = "prometheus_client"
CLIENT_OVER_WORKERS = "prometheus_client, multi-process"
FLASK_EXPORTER = "prometheus_flask_exporter"
INSTRUMENTATOR = "prometheus-fastapi-instrumentator"
STARLETTE_EXPORTER = "starlette_exporter"
STOCK = "OpenTelemetry"
NOTHING = "nothing"


class Figure(NamedTuple):
    """The median of one measurement, between its quartiles."""

    what: str
    who: str
    unit: str
    median: float
    low: float
    high: float
    runs: int


def figure(what: str, who: str, unit: str, values: Sequence[float]) -> Figure:
    """The figure of some runs; of one run it is the run itself."""
    low = high = values[0]
    if len(values) > 1:
        low, _, high = statistics.quantiles(values, n=4)
    return Figure(what, who, unit, statistics.median(values), low, high, len(values))
