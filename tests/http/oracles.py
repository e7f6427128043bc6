"""What an oracle has measured, as values to compare with what we have."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tests.http.recorded import Recorded

DURATION, ACTIVE = "http.server.request.duration", "http.server.active_requests"
Labels = dict[str, Any]

FASTAPI = pytest.param(
    "fastapi",
    marks=pytest.mark.skipif(
        not hasattr(FastAPI(), "_telemetry"), reason="this FastAPI has no telemetry of its own"
    ),
)
"""FastAPI's own telemetry, where it has one."""


class Seen(NamedTuple):
    """The attributes of the duration and of the requests in progress."""

    duration: list[Labels]
    active: list[Labels]


def seen_by(reader: InMemoryMetricReader) -> Seen:
    """What an oracle that measures into the reader has seen."""
    found: dict[str, list[Labels]] = {DURATION: [], ACTIVE: []}
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name in found:
                    found[metric.name] += [dict(point.attributes or {}) for point in metric.data.data_points]
    return Seen(found[DURATION], found[ACTIVE])


def seen_by_us(recorded: Recorded) -> Seen:
    """What we have seen."""
    return Seen(
        [labels for labels, _ in recorded.of("duration")],
        [labels for labels, _ in recorded.of("in_progress")],
    )
