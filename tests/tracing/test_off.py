"""A service without tracing pays nothing for it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.support.processes import clean_env, tool

FOR_TRACING = (
    "otel_obs.tracing",
    "otel_obs.push.spans",
    "otel_obs.push.sending",
    "otel_obs.push.exporters",
    "opentelemetry.sdk.trace.export",
    "opentelemetry.instrumentation.flask",
    "opentelemetry.instrumentation.fastapi",
    "opentelemetry.instrumentation.httpx",
    "opentelemetry.instrumentation.requests",
    "opentelemetry.exporter.otlp",
    "grpc",
    "httpx",
    "requests",
)
LOOK = """
import json, signal, sys, threading
{framework}
print(json.dumps({{
    "modules": sorted(sys.modules),
    "threads": threading.active_count(),
    "sigterm": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
}}))
"""
FLASK = "from flask import Flask; app = Flask('app'); app.test_client().get('/')"
FASTAPI = "from fastapi import FastAPI; app = FastAPI()"


def look(framework: str, env: Mapping[str, str]) -> dict[str, object]:
    """What a process under the wrapper has loaded."""
    done = subprocess.run(
        [tool("opentelemetry-instrument"), sys.executable, "-c", LOOK.format(framework=framework)],
        env=clean_env(env),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("framework", [FLASK, FASTAPI], ids=["flask", "fastapi"])
@pytest.mark.parametrize("exporter", ["", "none"])
def test_off_loads_nothing_and_changes_nothing(framework: str, exporter: str) -> None:
    found = look(framework, {"OTEL_TRACES_EXPORTER": exporter})
    modules = found["modules"]
    assert isinstance(modules, list)
    assert [module for module in modules if module.startswith(FOR_TRACING)] == []
    assert found["sigterm"] is True


def test_on_waits_with_what_an_application_does_not_import() -> None:
    found = look("", {"OTEL_TRACES_EXPORTER": "otlp"})
    modules = found["modules"]
    assert isinstance(modules, list)
    assert "otel_obs.push.spans" in modules
    assert not {"flask", "fastapi", "httpx"} & set(modules)
    # No thread before a first span: a server may fork yet.
    assert found["threads"] == 1
