"""The catalog in the manner of `prometheus_client`, wherever that has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from otel_obs import catalog
from otel_obs.catalog.kit import metric as rows
from otel_obs.catalog.kit.naming import Naming
from otel_obs.cells.view import MergedView
from otel_obs.sdk import MeterProvider


@pytest.fixture
def values() -> Iterator[Any]:
    """What one metric says, by labels."""
    provider = MeterProvider(shutdown_on_exit=False)
    rows.install(provider, Naming())
    view = MergedView(provider.worker)

    def read(name: str) -> dict[Any, float]:
        provider.refresh_observables()
        columns = {column.table.stream.name: column for column in view.snapshot().columns}
        column = columns[name]
        return dict(zip(map(dict.values, map(dict, column.table.attributes)), column.values, strict=True))

    yield lambda name: sorted(read(name).values())
    rows.uninstall()


def test_a_gauge_goes_up_and_down(values: Any) -> None:
    gauge = catalog.active_evidence_gauge.labels(category="a", session_id="s")
    gauge.inc(3)
    gauge.dec()
    with gauge.track_inprogress():
        assert values("active_evidence_gauge") == [3]
    assert values("active_evidence_gauge") == [2]
    catalog.model_state.set(1)
    catalog.model_state.inc()
    assert values("model_state") == [2]


def test_an_updowncounter_takes_set(values: Any) -> None:
    catalog.workflows_active.inc(5)
    catalog.workflows_active.set(3)
    catalog.workflows_active.inc()
    assert values("workflows_active") == [4]
    labelled = catalog.http_requests_in_progress.labels(method="GET")
    labelled.set(2)
    labelled.dec()
    with labelled.track_inprogress():
        assert values("http_requests_in_progress") == [2]


def test_a_function_gives_the_value_and_nothing_else_does(values: Any) -> None:
    catalog.model_state.set_function(lambda: 2)
    catalog.model_state.set(1)
    catalog.model_state.bind().inc()
    try:
        assert values("model_state") == [2]
    finally:
        catalog.model_state.bind()._function = None
        catalog.model_state.bind().reset()


def test_times_and_exceptions(values: Any) -> None:
    series = catalog.detection_total.labels(camera_id="1", model_type="m")

    @series.count_exceptions(ValueError)
    def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError, match="^$"):
        fail()
    assert values("detection") == [1]
    catalog.model_state.set_to_current_time()
    assert values("model_state")[0] > 1e9


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("detection_latency", "detection_latency_seconds"),
        ("llm_requests_total", "llm_calls_total"),
        ("llm_latency_seconds", "llm_duration_seconds"),
        ("predictions_counter", "predictions_total"),
        ("active_evidence", "active_evidence_gauge"),
    ],
)
def test_what_teams_import_is_there(name: str, family: str) -> None:
    assert getattr(catalog, name) is getattr(catalog, family)


def test_what_nobody_means_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no_such_metric"):
        _ = catalog.no_such_metric  # type: ignore[attr-defined]
