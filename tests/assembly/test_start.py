"""What the wrapper loads with otel_obs: little, since every process that an application starts loads it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.processes import clean_env, tool

TELL = "import json, sys; print(json.dumps(sorted(sys.modules)))"

# What the wrapper loads without any distribution.
UPSTREAM = f"""
import wrapt
from opentelemetry.instrumentation import distro
from opentelemetry.instrumentation.auto_instrumentation import _load
list(_load.entry_points(group="opentelemetry_distro"))
{TELL}
"""

SMALL = {"_blake2", "fcntl", "mmap", "select", "zlib"}
"""Modules of the interpreter that are in C, and load no others."""

MEASURING = (
    "otel_obs.catalog",
    "otel_obs.exposition",
    "otel_obs.flask",
    "otel_obs.prometheus",
    "otel_obs.push",
    "otel_obs.sdk",
    "otel_obs.serving",
)
"""What only a process that measures needs."""


def modules(*command: str) -> set[str]:
    env = clean_env({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"})
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=240)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def upstream() -> set[str]:
    return modules(sys.executable, "-c", UPSTREAM)


def of_others(found: set[str]) -> set[str]:
    return {name for name in found if name.partition(".")[0] != "otel_obs"}


def test_a_process_that_measures_nothing_loads_nothing_heavy(upstream: set[str]) -> None:
    added = modules(tool("opentelemetry-instrument"), sys.executable, "-c", TELL) - upstream
    assert "otel_obs.assembly.setup" in added
    assert of_others(added) - {"sitecustomize", "opentelemetry.instrumentation.auto_instrumentation"} <= SMALL
    assert [name for name in sorted(added) if name.startswith(MEASURING)] == []


def test_the_wrapper_itself_loads_the_table_of_settings_alone(upstream: set[str]) -> None:
    added = modules(sys.executable, "-c", f"import otel_obs.environment_variables\n{TELL}") - upstream
    assert of_others(added) == set()
    assert {name.partition(".")[2].partition(".")[0] for name in added} == {
        "",
        "environment_variables",
        "errors",
        "settings",
    }


def test_the_provider_is_global_once_the_api_is_there() -> None:
    ask = "from opentelemetry.metrics import get_meter_provider as get; print(type(get()).__module__)"
    done = subprocess.run(
        [tool("opentelemetry-instrument"), sys.executable, "-c", ask],
        env=clean_env(),
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert done.stdout == "otel_obs.assembly.deferred_provider\n"
