"""What `prometheus_client` does is what this package does, for every program that uses one registry."""

from __future__ import annotations

import prometheus_client
from hypothesis import HealthCheck, given, settings
from prometheus_client.openmetrics import exposition

from otel_obs import prometheus
from tests.prometheus.programs import Step, programs, run


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs())
def test_every_program_comes_to_the_same(program: list[Step]) -> None:
    theirs = run(prometheus_client, exposition.generate_latest, program)
    ours = run(prometheus, exposition.generate_latest, program)
    assert ours.errors == theirs.errors
    assert ours.families == theirs.families
    assert ours.text == theirs.text
    assert ours.openmetrics == theirs.openmetrics
