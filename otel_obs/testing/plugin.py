"""The fixtures, which pytest finds by the entry point. Each imports its modules at its first use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from otel_obs.testing.clock import FixedClock
    from otel_obs.testing.recorded import MetricsRecorded


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        "otel_obs(**settings): settings of otel_obs for the fixture `metrics_recorded`, by their names",
    )


@pytest.fixture
def metrics_recorded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MetricsRecorded]:
    """A metrics pipeline for this test only: it starts empty, and is removed at the end.

    Flask, FastAPI and Starlette applications that were instrumented before record to it. An error of otel_obs
    or a dropped measurement, which production only logs, fails the test.
    """
    from otel_obs.testing.isolation import isolated
    from otel_obs.testing.recorded import MetricsRecorded

    marker = request.node.get_closest_marker("otel_obs")
    with isolated(tmp_path_factory.mktemp("otel-obs"), dict(marker.kwargs) if marker else {}):
        yield MetricsRecorded()


@pytest.fixture
def fixed_clock() -> Iterator[FixedClock]:
    """A clock that stands still until the test calls `advance`; all durations are measured with it."""
    from otel_obs.testing.clock import FixedClock, stopped_clock

    with stopped_clock(FixedClock()) as clock:
        yield clock
