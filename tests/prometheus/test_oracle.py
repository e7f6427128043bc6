"""What `prometheus_client` does is what this package does, for every program that uses one registry."""

from __future__ import annotations

from types import ModuleType

import prometheus_client
import pytest
from hypothesis import HealthCheck, given, settings
from prometheus_client.openmetrics import exposition

from otel_obs import prometheus
from tests.prometheus.programs import Call, Metric, Step, programs, run


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs())
def test_every_program_comes_to_the_same(program: list[Step]) -> None:
    theirs = run(prometheus_client, exposition.generate_latest, program)
    ours = run(prometheus, exposition.generate_latest, program)
    assert ours.errors == theirs.errors
    assert ours.families == theirs.families
    assert ours.text == theirs.text
    assert ours.openmetrics == theirs.openmetrics


@pytest.mark.parametrize("library", [prometheus_client, prometheus])
def test_a_functions_series_stands_where_it_was_named(library: ModuleType) -> None:
    """Also in a program that records for the first time after that."""
    registry = prometheus.share(library.CollectorRegistry())
    gauge = library.Gauge("tasks", "", ["queue"], registry=registry)
    gauge.labels("mail").set_function(lambda: 1)
    gauge.labels("print").set(2)
    gauge.labels("scan").set_function(lambda: 3)
    (family,) = registry.collect()
    assert [(sample.labels["queue"], sample.value) for sample in family.samples] == [
        ("mail", 1),
        ("print", 2),
        ("scan", 3),
    ]


def test_an_exemplar_has_the_value_that_was_observed() -> None:
    program: list[Step] = [
        Metric("Histogram", "seconds", "", [], {}),
        Call(0, None, False, "observe", (-0.0,), {"exemplar": {"x": "y"}}),
    ]
    theirs = run(prometheus_client, exposition.generate_latest, program)
    assert run(prometheus, exposition.generate_latest, program).families == theirs.families
    assert "'-0.0'" in repr(theirs.families)
