"""Which paths are taken: what was asked for last holds for whatever is imported later."""

from __future__ import annotations

import pytest

from tests.support.programs import run


@pytest.mark.parametrize(("asked", "variable"), [(False, "on"), (True, "off")])
def test_an_import_after_the_choice_changes_nothing(asked: bool, variable: str) -> None:
    code = f"""
import json
import otel_obs
from otel_obs import compiled
otel_obs.configure(compiled={asked}, runtime_metrics=False)
before = compiled.is_used
from otel_obs import prometheus
prometheus.Counter("c", "C.").inc()
print(json.dumps([before, compiled.is_used]))
"""
    assert run(code, env={"OTEL_OBS_COMPILED": variable}).results == [[asked, asked]]
